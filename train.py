"""Train a detector: python train.py --config F [key=value ...] [--out FOLDER] [--resume]."""

from vision.cli.main import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("train"))
