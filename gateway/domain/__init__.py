"""Floor 0: pure values and rules. No I/O, no clock, no randomness, no SQL, no grpc."""
