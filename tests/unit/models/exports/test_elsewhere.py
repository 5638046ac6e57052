"""A model gets to a hub in one commit, and to MLflow through MLflow."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.rigs.taken import taken_side

from ragwheel.models.exports.hub_upload import upload
from ragwheel.models.exports.mlflow_folder import write_mlflow
from ragwheel.models.exports.taken import ModelExportError, TakenSide
from ragwheel.schemas.errors import DependencyError, UnavailableError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TakenSide:
    return taken_side(tmp_path_factory.mktemp("registered") / "query_encoder")


@dataclass
class Hub:
    """What a hub was sent: enough of its API for an upload by the real client."""

    refuse: bool = False
    endpoint: str = ""
    private: bool | None = None
    head: dict[str, object] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.refuse:
            return 403, {"error": "no right to write"}
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.private = asked.get("private") or asked.get("visibility") == "private"
            return 200, {"url": f"{self.endpoint}/me/model"}
        if path.startswith("/api/models/me/model/preupload/"):
            wanted = json.loads(body)["files"]
            modes = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in wanted
            ]
            return 200, {"files": modes}
        if path == "/api/validate-yaml":
            self.head = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            return 200, {"errors": [], "warnings": []}
        assert path.startswith("/api/models/me/model/commit/"), path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                self.commits.append(line["value"]["summary"])
            else:
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return 200, {"commitUrl": f"{self.endpoint}/me/model/commit/1", "commitOid": "1"}


@contextmanager
def listening(hub: Hub) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length) if length else self._chunks()
            status, said = hub.answer(self.path.partition("?")[0], body)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _chunks(self) -> bytes:
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            return found

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield hub.endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_hub_gets_the_whole_folder_in_one_private_commit(
    source: TakenSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "none")
    hub = Hub()
    with listening(hub) as endpoint:
        assert upload(source, "me/model", endpoint=endpoint) == f"{endpoint}/me/model"
    assert hub.private is True
    assert hub.commits == ["Model 39d406a672658e55, query side"]
    assert {"README.md", "modules.json", "1_Pooling/config.json", "model.safetensors"} <= set(
        hub.files
    )
    assert hub.head["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert b"**promoted**" in hub.files["README.md"]
    weights = source.folder / "model.safetensors"
    assert hub.files["model.safetensors"] == weights.read_bytes()


def test_a_hub_that_refuses_is_named_with_the_fix(source: TakenSide) -> None:
    with listening(Hub(refuse=True)) as endpoint:
        with pytest.raises(ModelExportError, match=r"does not take me/model.*HF_TOKEN"):
            upload(source, "me/model", endpoint=endpoint)
        with pytest.raises(ModelExportError, match="write OWNER/NAME"):
            upload(source, "model", endpoint=endpoint)


def test_a_hub_that_does_not_answer_is_no_fault_of_the_model(source: TakenSide) -> None:
    with listening(Hub()) as endpoint:
        pass
    with pytest.raises(UnavailableError, match="does not answer"):
        upload(source, "me/model", endpoint=endpoint)


def test_mlflow_that_is_missing_is_named_with_what_installs_it(
    source: TakenSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.sentence_transformers", None)
    with pytest.raises(DependencyError, match="pip install mlflow"):
        write_mlflow(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mlflow_writes_the_model_and_keeps_its_card(
    source: TakenSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, Any] = {}

    def save_model(*, model: Any, path: str, metadata: dict[str, str]) -> None:
        """As `mlflow.sentence_transformers.save_model` of MLflow 3; needs an empty folder."""
        assert not any(Path(path).iterdir())
        model.save_pretrained(f"{path}/model.sentence_transformer", create_model_card=False)
        saved.update(metadata)

    flavour = ModuleType("mlflow.sentence_transformers")
    vars(flavour)["save_model"] = save_model
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.sentence_transformers", flavour)
    out = write_mlflow(source, tmp_path / "out")
    assert saved["ragwheel_documents"] == source.manifest.document_fingerprint
    assert (out / "model.sentence_transformer" / "modules.json").exists()
    assert "**promoted**" in (out / "README.md").read_text("utf-8")
