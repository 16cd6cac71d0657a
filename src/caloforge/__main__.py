"""``python -m caloforge`` is the ``caloforge`` command."""

from caloforge.cli.main import main

main()
