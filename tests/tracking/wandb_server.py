"""A stand-in W&B server on the loopback, with what the client needs: runs, resuming, files, views, sweeps.

    with Server() as server:
        subprocess.run(command, env=os.environ | server.environment)
    server.runs["ID"].history

It was checked against the client (wandb 0.31), not against the hosted service. `mood` makes it fail: called with the
path and the operation of each request, it returns a status to answer with, SILENT for no answer, or None.
"""

import base64
import gzip
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any

import yaml

KEY = "f" * 40
ENTITY = "group"
SILENT = -1
HISTORY = "wandb-history.jsonl"


@dataclass
class Run:
    """A run on the server."""

    id: str
    project: str
    asked: dict[str, Any] = field(default_factory=dict)  # the last value of every argument of UpsertBucket
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict)  # lines of each file that is streamed
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.streams.get(HISTORY, [])]

    @property
    def state(self) -> str:
        return "running" if self.exit_code is None else "failed" if self.exit_code else "finished"

    @property
    def last_step(self) -> int:
        return max((row["_step"] for row in self.history), default=-1)


class Server:
    """Serves in a thread of its own, as a context."""

    def __init__(self, mood: Callable[[str, str], int | None] = lambda path, operation: None) -> None:
        self.mood = mood
        self.runs: dict[str, Run] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, int] = {}  # how often each run was started or resumed
        self.operations: list[str] = []
        self.unknown: list[str] = []
        self.sweeps: dict[str, dict[str, Any]] = {}  # the configuration of each, from its YAML
        self.jobs: list[dict[str, Any]] = []  # what agents of sweeps have still to do
        self.released = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that disconnect
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_MODE": "online",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",  # seconds, in place of 15
            "no_proxy": "127.0.0.1",
        }

    def __enter__(self) -> "Server":
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def hang_up(self) -> int:
        """Refuse connections from here on, as a dead server does, and answer no open request."""
        threading.Thread(target=self.http.shutdown, daemon=True).start()
        self.http.socket.close()
        return SILENT

    def die(self) -> None:
        """Stop serving."""
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    def answer(self, operation: str, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of the answer to a GraphQL request."""
        if operation == "UpsertBucket":
            return {"upsertBucket": self._upsert(given)}
        if operation == "RunResumeStatus":
            self.sessions[given["name"]] = self.sessions.get(given["name"], 0) + 1
            return {"model": {**self._project(given), "bucket": self._bucket(given["name"])}}
        if operation == "CreateRunFiles":
            where = f"{self.url}/upload/{given['run']}"
            files = [{"name": name, "uploadUrl": f"{where}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        if operation in ("Run", "RunHistoryKeys", "RunState", "RunStatus"):
            return {"project": {**self._project(given), "run": self._bucket(given["name"])}}
        if operation == "UpsertView2":
            return {"upsertView": self._view(given)}
        if operation == "View":
            found = [view for view in self.views.values() if view["name"] == given.get("viewName")]
            return {"project": {"allViews": {"edges": [{"node": view} for view in found]}}}
        if operation == "UpsertSweep":
            return {"upsertSweep": {"sweep": self._sweep(given), "configValidationWarnings": []}}
        if operation == "SweepWithRuns":
            config = yaml.safe_dump(self.sweeps[given["sweep"]])
            return {"project": {"sweep": {"id": given["sweep"], "config": config, "runs": {"edges": []}}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "agent"}}}
        if operation == "Heartbeat":
            # One at a time: an agent that is told to exit kills what it runs.
            busy = any(json.loads(given["runState"]).values())
            jobs = [] if busy else [self.jobs.pop(0)] if self.jobs else [{"type": "exit"}]
            return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(jobs)}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if "viewer" in query:
            return {"viewer": self._viewer(), "serverInfo": {"cliVersionInfo": {}, "latestLocalVersionInfo": None}}
        self.unknown.append(f"{operation}: {query} {given}")
        return {}

    def stream(self, name: str, message: dict[str, Any]) -> dict[str, Any]:
        """Store lines of a run's files, each part at its offset, and the end of the run."""
        run = self.runs[name]
        for file, part in (message.get("files") or {}).items():
            lines = run.streams.setdefault(file, [])
            lines[part["offset"] :] = part["content"]
            if file == "wandb-summary.json":
                run.summary = json.loads(lines[-1])
        if message.get("complete"):
            run.exit_code = message.get("exitcode")
        return {"limits": {}}

    def _upsert(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["name"]
        new = name not in self.runs
        run = self.runs.setdefault(name, Run(name, given.get("project") or "uncategorized"))
        run.exit_code = None if "host" in given else run.exit_code
        run.asked |= {key: value for key, value in given.items() if value is not None}
        run.config |= {key: item["value"] for key, item in json.loads(given.get("config") or "{}").items()}
        run.summary |= json.loads(given.get("summaryMetrics") or "{}")
        return {"bucket": self._bucket(name), "inserted": new}

    def _bucket(self, name: str) -> dict[str, Any] | None:
        run = self.runs.get(name)
        if run is None:
            return None
        lines = {kind: run.streams.get(file, []) for kind, file in
                 (("history", HISTORY), ("events", "wandb-events.jsonl"), ("log", "output.log"))}  # fmt: skip
        return {
            "id": base64.b64encode(run.id.encode()).decode(),
            "name": run.id,
            "displayName": run.asked.get("displayName") or run.id,
            "description": "",
            "notes": None,
            "tags": run.asked.get("tags") or [],
            "group": run.asked.get("groupName"),
            "jobType": None,
            "commit": None,
            "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z",
            "heartbeatAt": "2026-01-01T00:00:00Z",
            "user": {"name": "Somebody", "username": "somebody"},
            "sweepName": run.asked.get("sweep"),
            "state": run.state,
            "stopped": False,
            "shouldStop": False,
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "summaryMetrics": json.dumps(run.summary),
            "systemMetrics": "{}",
            "wandbConfig": json.dumps({"t": 1}),
            **{f"{kind}LineCount": len(found) for kind, found in lines.items()},
            "historyTail": json.dumps(lines["history"][-1:]),
            "eventsTail": json.dumps(lines["events"][-1:]),
            "historyKeys": {"lastStep": run.last_step},
            "projectId": 1,
            "project": self._project({"project": run.project})["project"],
        }

    def _project(self, given: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "entity", "name": ENTITY, "organization": None}
        project = {"id": "project", "name": given.get("project"), "entity": entity}
        return {**project, "project": project}

    def _view(self, given: dict[str, Any]) -> dict[str, Any]:
        id = given.get("id") or f"view{len(self.views)}"
        new = id not in self.views
        self.views[id] = {"id": id, **{key: given.get(key) for key in ("name", "displayName", "spec", "projectName")}}
        return {"view": self.views[id], "inserted": new}

    def _sweep(self, given: dict[str, Any]) -> dict[str, Any]:
        """Create a sweep, and a job for every cell of its grid; a range counts as its two ends."""
        name = f"sweep{len(self.sweeps)}"
        config = self.sweeps[name] = yaml.safe_load(given["config"])
        values = {
            key: of.get("values") or ([of["value"]] if "value" in of else [of["min"], of["max"]])
            for key, of in config["parameters"].items()
        }
        for number, cell in enumerate(product(*values.values())):
            args = {key: {"value": value} for key, value in zip(values, cell, strict=True)}
            self.jobs.append(
                {"type": "run", "run_id": f"{name}run{number}", "program": config["program"], "args": args}
            )
        return {**self._project({"project": given["projectName"]}), "name": name}

    def _viewer(self) -> dict[str, Any]:
        who = {"id": "viewer", "entity": ENTITY, "username": "somebody", "name": "Somebody", "email": "a@example.org"}
        return {**who, "admin": False, "flags": "{}", "teams": {"edges": []}, "apiKeys": {"edges": []}}


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            asked = json.loads(body) if self.path == "/graphql" else {}
            query = asked.get("query", "")
            named = re.search(r"(?:query|mutation)\s+(\w+)", query)
            operation = asked.get("operationName") or (named[1] if named else "")
            server.operations.append(operation or self.path)
            status = server.mood(self.path, operation)
            if status == SILENT:
                server.released.wait(60)
                self.close_connection = True
            elif status:
                self.reply({"error": "unavailable"}, status)
            elif self.path == "/graphql":
                self.reply({"data": server.answer(operation, query, asked.get("variables") or {})})
            elif streamed := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                self.reply(server.stream(streamed[1], json.loads(body)))
            elif uploaded := re.fullmatch(r"/upload/([^/]+)/(.*)", self.path):
                server.runs[uploaded[1]].files[uploaded[2]] = body
                self.reply({})
            else:
                server.unknown.append(self.path)
                self.reply({}, 404)

        do_GET = do_PUT = do_POST  # noqa: N815

        def reply(self, content: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
