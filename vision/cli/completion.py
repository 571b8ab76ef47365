"""Completion of commands, options and files in a shell, by ``argcomplete``."""

import argparse

from vision.cli.commands import COMMANDS
from vision.cli.parser import Parser


def complete() -> None:
    """Answer a shell that asks, by environment variables, what a word may become, and exit."""
    import argcomplete  # noqa: PLC0415 - a shell asks seldom

    parser = argparse.ArgumentParser("ssdlite")
    parser.add_argument("--version", action="store_true")
    children = parser.add_subparsers(parser_class=_Child)
    for name, command in COMMANDS.items():
        command.add_all_arguments(children.add_parser(name))
    argcomplete.autocomplete(parser)


class _Child(Parser):
    """The parser of a command, made as `argparse` makes those of subcommands."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, "", "")
