"""Evaluate a detector: python eval.py --weights W [--config F] [key=value ...] [--out FOLDER]."""

from vision.cli.main import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("eval"))
