"""Pages in headless Chromium."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed, which opens the page"
)


def assert_needs_no_network(page: str) -> None:
    """All that a page shows is in it."""
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {address.partition(":")[0] for address in addresses if ":" in address} == {"data"}
    assert "url(" not in page


def opened(page: str, width: int, folder: Path, place: str = "", *options: str) -> dict[str, str]:
    """What a script in a page notes as data of the root element; no error is on the console."""
    assert CHROMIUM is not None
    (folder / "page.html").write_text(page, encoding="utf-8")
    run = subprocess.run(  # noqa: S603
        [
            CHROMIUM,
            *OPTIONS,
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


class Site(ThreadingHTTPServer):
    """Serves a folder and ``/probe``, a page with a script that may post its findings.

    Attributes:
        asked: The paths that were asked for.
    """

    def __init__(self, folder: Path, script: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked = folder, list[str]()
        self.page = f"<!DOCTYPE html><body><script type=module>{script}</script>".encode()
        self.posted = Queue[bytes]()

    def findings(self, profile: Path, options: Sequence[str] = (), seconds: float = 120) -> Any:  # noqa: ANN401
        """What the script posts as JSON when Chromium opens the page."""
        assert CHROMIUM is not None
        url = f"http://127.0.0.1:{self.server_port}/probe"
        words = [CHROMIUM, *OPTIONS, *options, f"--user-data-dir={profile}", url]
        Thread(target=self.serve_forever, daemon=True).start()
        with subprocess.Popen(  # noqa: S603
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as browser:
            try:
                return json.loads(self.posted.get(timeout=seconds))
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                self.shutdown()
                self.server_close()


class Handler(SimpleHTTPRequestHandler):
    """Answers for a `Site`."""

    server: Site

    def translate_path(self, path: str) -> str:
        """The file of a path."""
        return str(self.server.folder / path.strip("/").partition("?")[0])

    def do_GET(self) -> None:
        """Send the page with the script, or a file."""
        self.server.asked.append(self.path)
        if self.path != "/probe":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        """Take what the script found."""
        self.server.posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Write nothing to the terminal."""
