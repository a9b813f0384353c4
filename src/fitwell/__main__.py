"""``python -m fitwell`` is the `fitwell` command."""

from fitwell.api.cli import main

main()
