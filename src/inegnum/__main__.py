"""`python -m inegnum`."""

from inegnum.cli import main

main()
