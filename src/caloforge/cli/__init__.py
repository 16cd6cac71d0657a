"""The command line: one file per command; each parses, calls, and prints, and holds no logic."""

__all__: list[str] = []  # the entry point is caloforge.cli.main; a name `main` here would hide that module
