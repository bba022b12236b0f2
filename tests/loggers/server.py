"""A loopback server that answers the Weights & Biases client as far as needed, and records what it receives."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VIEWER = {"id": "VXNlcg==", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}


@dataclass
class Told:
    """What the client said of all runs.

    Attributes:
        runs: settings of each run, as often as it was begun or changed; the config is decoded.
        streams: what was streamed of a run, by its id: history rows, exit codes.
        uploads: names of files that were sent.
        sweep: the YAML text of a sweep of the server's own, if there is one.
        commands: what its agents are still to be told.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    streams: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    sweep: str | None = None
    commands: list[dict[str, Any]] = field(default_factory=list)

    def history(self, run: str) -> dict[str, Any]:
        """The last value of everything that a run logged, by name."""
        rows = [row for part in self.streams[run] for row in _rows(part, "wandb-history.jsonl")]
        return {name: value for row in rows for name, value in row.items()}

    def summary(self, run: str) -> dict[str, Any]:
        """The summary that a run ended with."""
        return [row for part in self.streams[run] for row in _rows(part, "wandb-summary.json")][-1]

    def exits(self, run: str) -> list[int]:
        """The exit codes of a run's processes."""
        return [part["exitcode"] for part in self.streams[run] if part.get("complete")]


@contextmanager
def serving() -> Iterator[tuple[str, Told]]:
    """The server's address, and what it is told."""
    told = Told()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()


def _handler(told: Told) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionResetError:
                """The client ends without goodbye."""

        def do_GET(self) -> None:
            self._answer({})

        def do_PUT(self) -> None:
            self._body()
            told.uploads.append(self.path.removeprefix("/upload/"))
            self._answer({})

        def do_POST(self) -> None:
            body = self._body()
            if self.path == "/graphql":
                asked = json.loads(body)
                self._answer({"data": self._data(asked["query"], asked.get("variables") or {})})
                return
            if stream := re.fullmatch(r"/files/me/\w+/(\w+)/file_stream", self.path):
                told.streams.setdefault(stream[1], []).append(json.loads(body))
            self._answer({})

        def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
            if "upsertBucket" in query:
                told.runs.append({**variables, "config": json.loads(variables.get("config") or "{}")})
                project = {"id": "UHJv", "name": "p", "entity": {"id": "RW50", "name": "me"}}
                bucket = {"id": "QnVj", "name": variables["name"], "config": "{}", "sweepName": None}
                return {"upsertBucket": {"bucket": {**bucket, "project": project}, "inserted": True}}
            if "createRunFiles" in query:
                where = f"http://{self.headers['Host']}/upload/"
                files = [{"name": name, "uploadUrl": where + name} for name in variables["files"]]
                return {"createRunFiles": {"runID": "QnVj", "uploadHeaders": [], "files": files}}
            if "sweep(sweepName" in query:
                return {"project": {"sweep": {"id": "U3dl", "config": told.sweep, "runs": {"edges": []}}}}
            if "createAgent" in query:
                return {"createAgent": {"agent": {"id": "QWdl"}}}
            if "agentHeartbeat" in query:
                told.commands, commands = [], told.commands
                return {"agentHeartbeat": {"agent": {"id": "QWdl"}, "commands": json.dumps(commands)}}
            return {"viewer": VIEWER, "model": None, "project": None, "entity": {"name": "me"}}

        def _body(self) -> bytes:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

        def _answer(self, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _rows(part: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in part.get("files", {}).get(name, {}).get("content", [])]
