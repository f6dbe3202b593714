"""`python -m gateway` is `tallystick`."""

from gateway.cli import main

main()
