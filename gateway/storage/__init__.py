"""Floor 1: SQLAlchemy Core. Each function takes a Connection; the caller opens the transaction."""
