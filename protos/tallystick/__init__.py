"""The public contract, as Python."""
