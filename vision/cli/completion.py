"""Completion of commands, options and files in a shell, by ``argcomplete``."""

import argparse

from vision.cli.commands import COMMANDS
from vision.cli.parser import Parser


def complete() -> None:
    """Print the completions that a shell asks for by environment variables, and exit."""
    import argcomplete  # noqa: PLC0415 - needed for completion only

    parser = argparse.ArgumentParser("ssdlite")
    parser.add_argument("--version", action="store_true")
    children = parser.add_subparsers(parser_class=_Child)
    for name, command in COMMANDS.items():
        command.add_all_arguments(children.add_parser(name))
    argcomplete.autocomplete(parser)


class _Child(Parser):
    """The parser of a command, with the arguments that `argparse` passes to subparsers."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, "", "")
