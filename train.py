"""Train a detector: python train.py --config F [key=value ...] [--out DIR] [--resume]."""

from vision.cli.main import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("train"))
