"""Version 1: the stubs lie beside their protos; `make stubs` makes them."""
