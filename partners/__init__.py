"""The terms: onboarding, keys, rate cards and lifecycle (operator's side), and `pos`, what a partner runs."""
