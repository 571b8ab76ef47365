"""The command line, ``ssdlite COMMAND``: one module for each command."""
