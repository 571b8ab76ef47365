"""The command line, ``ssdlite COMMAND``: one module for each command."""

from vision.cli.main import main

__all__ = ["main"]
