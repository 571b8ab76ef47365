"""``python -m vision.cli``: the same as ``ssdlite``, for shells that do not find that command."""

from vision.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
