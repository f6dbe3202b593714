"""Floor 2: the group-commit writer, and the audit that proves the books."""
