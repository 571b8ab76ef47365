"""A stand-in for the Hugging Face Hub on loopback: repositories in memory, with a token."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

TOKEN = "hf_s3cret"  # noqa: S105
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, and what it was asked.

    Attributes:
        address: Of the server.
        repos: Content by path, of each repository; private ones take the token.
        private: The private repositories.
        status: Answer of every request, if it is not 200.
        cut: Whether the connection ends in the middle of a file.
        tokens: The tokens that requests came with.
    """

    address: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    status: int = 200
    cut: bool = False
    tokens: list[str] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    """The requests of `hf_hub_download`, `create_repo` and `create_commit`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: Any) -> None:  # noqa: ANN401
        self.hub = hub
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        repo, (action, revision), file = "/".join(parts[:2]), parts[2:4], "/".join(parts[4:])
        files = self.hub.repos.get(repo)
        if files is None or action != "resolve" or (repo in self.hub.private and not self._token()):
            self._fail(401, "RepoNotFound")
        elif revision not in {"main", "v1", COMMIT}:
            self._fail(404, "RevisionNotFound")
        elif file not in files:
            self._fail(404, "EntryNotFound")
        else:
            self._send(files[file], {"ETag": f'"{hashlib.sha256(files[file]).hexdigest()}"'})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._token():
            self._fail(401)
            return
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'user'}/{asked['name']}"
            self.hub.repos.setdefault(repo, {})
            self._send_json({"url": f"{self.hub.address}/{repo}"})
        elif self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self._send_json({"files": [{"path": name, **modes} for name in names]})
        elif self.path.endswith("/commit/main"):
            repo = "/".join(self.path.split("/")[3:5])
            for line in body.splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    content = base64.b64decode(row["value"]["content"])
                    self.hub.repos[repo][row["value"]["path"]] = content
            url = f"{self.hub.address}/{repo}/commit/{COMMIT}"
            self._send_json({"success": True, "commitOid": COMMIT, "commitUrl": url})
        else:
            self._send_json({})

    def _token(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.hub.tokens.append(token)
        return token == TOKEN

    def _fail(self, status: int, code: str = "") -> None:
        self._send(b"{}", {"X-Error-Code": code} if code else {}, status)

    def _send_json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(self.hub.status if status == 200 else status)
        for key, value in {"X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if self.hub.cut else body)
            self.close_connection = self.hub.cut

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serve() -> Iterator[Hub]:
    """A running server."""
    hub = Hub()
    handler = partial(_Handler, hub)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        server.shutdown()
