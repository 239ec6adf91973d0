"""`python -m flows.cli` is `lectern`."""

from flows.cli import main

main()
