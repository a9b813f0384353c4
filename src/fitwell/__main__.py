"""``python -m fitwell`` is the `fitwell` command."""

from fitwell.cli import main

main()
