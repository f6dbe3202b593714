"""The ground: books, ledger and the gRPC gateway. Knows neither partners nor settlement."""
