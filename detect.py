"""Find objects: python detect.py INPUT ... [--weights W] [--out FOLDER] [--score 0.4]."""

from vision.cli.main import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("detect"))
