"""Pages in headless Chromium."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed, which opens the page"
)


def opened(page: str, width: int, folder: Path, place: str = "", *options: str) -> dict[str, str]:
    """What a script in a page notes as data of the root element; no error is on the console."""
    assert CHROMIUM is not None
    (folder / "page.html").write_text(page, encoding="utf-8")
    run = subprocess.run(  # noqa: S603
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *options,
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},900",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (folder / "page.html").as_uri() + place,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in run.stderr
    return dict(re.findall(r'data-(\w+)="([^"]*)"', run.stdout.partition("<head>")[0]))
