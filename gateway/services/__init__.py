"""Floor 3: use-cases, from an authenticated caller's wish to an answer."""
