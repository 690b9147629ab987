"""`python -m b2cal` is the command `b2cal`."""

from b2cal.cli import main

main()
