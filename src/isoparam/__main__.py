"""`python -m isoparam` is the command `isoparam`."""

from isoparam.cli import main

main()
