"""A small Hub on localhost: the endpoints that huggingface_hub calls to publish a model and to download it again."""

import base64
import hashlib
import json
import os
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_right"
SPACES = "spaces/"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b""})
    messages: list[str] = field(default_factory=list)

    @property
    def commit(self) -> str:
        return hashlib.sha1("".join(self.messages).encode()).hexdigest()


class LocalHub:
    """
    Use it as a context manager; `url` is its address. Spaces are among `repositories` as `spaces/user/name`.
    `dies_at` names a part of the path of requests that it leaves
    unanswered, as a server does that has gone down.
    """

    def __init__(self, dies_at: str | None = None):
        self.repositories: dict[str, Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.dies_at = dies_at
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "LocalHub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()


def environment(hub: LocalHub, folder: Path, token: str | None = TOKEN, **more: str) -> dict[str, str]:
    """Variables with which a program sees that Hub alone, with a cache of its own in a folder."""
    found = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    found |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1", **more}
    return {**found, "HF_TOKEN": token} if token else found


def client(command, hub: LocalHub, folder: Path, token: str | None = TOKEN, **more: str):
    """Runs a program in a folder with such an [`environment`]."""
    return subprocess.run(
        command, env=environment(hub, folder, token, **more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300, cwd=folder,
    )  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("HEAD")

    def do_POST(self):
        self._answer("POST")

    def do_PUT(self):
        self._answer("PUT")

    def _answer(self, method: str):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._read_chunks()
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{method} {path}")
        if self.hub.dies_at and self.hub.dies_at in path:
            self.close_connection = True
            return
        parts, space = _without_type(path.strip("/").split("/"))
        if path == "/api/validate-yaml":
            return self._validate_card(json.loads(body))
        if parts[0] == "large":
            self.hub.large_files[parts[1]] = body
            return self._send(200, {})
        if method == "GET" and parts[:2] == ["api", "models"] or "resolve" in parts:
            return self._read(method, parts, space)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "Invalid credentials"})
        return self._write(parts, body, space)

    # ---- Reading

    def _read(self, method: str, parts: list[str], space: str):
        start = 2 if parts[0] == "api" else 0
        name = space + "/".join(parts[start : start + 2])
        repository = self.hub.repositories.get(name)
        may_read = repository is not None and (
            not repository.private or self.headers.get("Authorization") == f"Bearer {TOKEN}"
        )
        if not may_read:
            return self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        if parts[start + 2 : start + 3] == ["resolve"]:
            return self._send_file(method, repository, "/".join(parts[start + 4 :]))
        if parts[start + 2 : start + 3] == ["tree"]:
            return self._send(
                200,
                [
                    {"type": "file", "path": file, "size": len(data), "oid": _etag(data)}
                    for file, data in repository.files.items()
                ],
            )
        return self._send(
            200,
            {
                "id": name,
                "modelId": name,
                "sha": repository.commit,
                "private": repository.private,
                "tags": [],
                "siblings": [{"rfilename": file} for file in repository.files],
            },
        )

    def _send_file(self, method: str, repository: Repository, file: str):
        if file not in repository.files:
            return self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        data = repository.files[file]
        self.send_response(200)
        self.send_header("ETag", f'"{_etag(data)}"')
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if method == "GET":
            self.wfile.write(data)

    # ---- Writing

    def _write(self, parts: list[str], body: bytes, space: str):
        if parts == ["api", "repos", "create"]:
            wanted = json.loads(body)
            space = SPACES if wanted.get("type") == "space" else ""
            if space and not wanted.get("sdk"):
                return self._send(400, {"error": "A Space needs an sdk"})
            name = space + "/".join(filter(None, (wanted.get("organization") or "user", wanted["name"])))
            if name in self.hub.repositories:
                return self._send(
                    409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}
                )
            # huggingface_hub says it by `private` before version 2.
            self.hub.repositories[name] = Repository(
                wanted.get("visibility") == "private" or bool(wanted.get("private"))
            )
            return self._send(200, {"url": f"{self.hub.url}/{name}"})
        if "preupload" in parts:
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in files
            ]
            return self._send(200, {"files": modes})
        if parts[-3:] == ["lfs", "objects", "batch"]:
            objects = [
                {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/large/{wanted['oid']}"}}}
                for wanted in json.loads(body)["objects"]
            ]
            return self._send(200, {"transfer": "basic", "objects": objects})
        if "commit" in parts:
            name = space + "/".join(parts[2:4])
            return self._commit(self.hub.repositories[name], name, body)
        return self._send(404, {"error": f"The local Hub does not know {self.path}."})

    def _commit(self, repository: Repository, name: str, body: bytes):
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.large_files[value["oid"]]
        address = f"{self.hub.url}/{name}/commit/{repository.commit}"
        return self._send(
            200, {"success": True, "commitOid": repository.commit, "commitUrl": address, "hookOutput": ""}
        )

    def _validate_card(self, request: dict):
        """What the Hub asks of a card's metadata, as its documentation has it."""
        metadata = yaml.safe_load(request["content"].split("---")[1])
        needed = ("sdk", "sdk_version", "app_file") if request["repoType"] == "space" else ("license", "language")
        errors = [f"{key} is missing" for key in needed if not metadata.get(key)]
        for model in metadata.get("model-index", []):
            if not model.get("name"):
                errors.append("model-index[0].name is missing")
            for result in model["results"]:
                fields = (("task", "type"), ("dataset", "type"), ("dataset", "name"))
                errors += [f"{a}.{b} is missing" for a, b in fields if not result.get(a, {}).get(b)]
                errors += [
                    "metric without type or value"
                    for metric in result["metrics"]
                    if not metric.get("type") or metric.get("value") is None
                ]
        return self._send(400 if errors else 200, {"errors": [{"message": error} for error in errors], "warnings": []})

    # ---- HTTP

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, content, headers: dict[str, str] | None = None):
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _without_type(parts: list[str]) -> tuple[list[str], str]:
    """A path as if it were that of a model, and what the names of its repositories begin with."""
    if parts[0] == "spaces":
        return parts[1:], SPACES
    if parts[:2] == ["api", "spaces"]:
        return ["api", "models", *parts[2:]], SPACES
    return parts, ""


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
