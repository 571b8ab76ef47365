"""``python -m vision.cli``: ``ssdlite`` where that command is not on the path."""

from vision.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
