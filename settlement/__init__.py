"""The night: closes the window, prices obligations, nets them, and proves the result."""
