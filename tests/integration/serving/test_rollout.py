"""A promotion by hand reaches requests of a real server, through Kafka and an S3 store alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from threading import Event, Thread
from typing import Any

import fsspec
import httpx
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from tests.rigs.children import end, environment, module, spawn
from tests.rigs.following import Promoting

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import create_topics
from ragwheel.backends.migrate import migrate
from ragwheel.cli.main import main
from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.encoder import Side, Vectors, load_encoder
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    KafkaSettings,
    ServingSettings,
    TrainerSettings,
)
from ragwheel.schemas.tables import INDEXES

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BUCKET = "rollout"
TEXT = "ask1 ask2 ask3"
#: A machine that does many other things takes long to import torch.
START_S, SWAP_S = 240.0, 120.0


def eventually(holds: Callable[[], bool], what: Callable[[], object], within_s: float) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, what()
        time.sleep(0.05)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place on an S3 server, which the environment says how to reach."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3 = fsspec.filesystem("s3")
    s3.clear_instance_cache()
    fsspec.filesystem("s3").mkdir(BUCKET)
    yield f"s3://{BUCKET}/artifacts"
    s3.clear_instance_cache()
    server.stop()


@dataclass
class Asking:
    """Somebody who asks all the time: a query that nobody asked before, one that everybody asks,
    and a document; and what came of it."""

    url: str
    stop: Event = field(default_factory=Event)
    failed: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    queries: dict[str, list[Vectors]] = field(default_factory=dict)
    documents: list[Vectors] = field(default_factory=list)

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self.stop.wait(0.05):  # others need the cores too
                number = len(self.models)
                self._ask(
                    client, f"ask{number % 50} ask{number // 50 % 50} ask{number % 7}", "query"
                )
                model, vector = self._ask(client, TEXT, "query")
                self.queries.setdefault(model, []).append(vector)
                self.documents.append(self._ask(client, f"{TEXT} code{number % 5}", "document")[1])
                self.models.append(model)

    def _ask(self, client: httpx.Client, text: str, side: Side) -> tuple[str, Vectors]:
        body = {"model": f"ragwheel:{side}", "input": text, "encoding_format": "float"}
        try:
            answer = client.post("/v1/embeddings", json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.failed.append(repr(error))
            return "", np.zeros(1, np.float32)
        vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
        return answer.headers["x-ragwheel-model"], vector


@dataclass
class Server:
    """The server process, and the command line of the trainer's machine."""

    process: Popen[bytes]
    log: Path
    url: str = ""

    def listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"listening at (http://[0-9.:]+)", self.log.read_text())
        self.url = found[1] if found else ""
        return bool(found)

    def info(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/info", timeout=60).json())

    def metric(self, line: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=60).text
        return sum(float(each.split()[-1]) for each in text.splitlines() if each.startswith(line))

    def serves(self, model_id: str) -> None:
        """Waits until it does."""
        eventually(lambda: self.info()["model_id"] == model_id, self.log.read_text, SWAP_S)

    def refuses(self, reason: str, but_serves: str) -> str:
        """Waits for the refusal; what it says."""
        eventually(
            lambda: str(self.info()["last_refusal"]).startswith(f"{reason}: "),
            self.log.read_text, SWAP_S,
        )  # fmt: skip
        assert self.metric(f'ragwheel_serving_refusals_total{{reason="{reason}"}}') == 1
        assert self.info()["model_id"] == but_serves
        return str(self.info()["last_refusal"])


def ragwheel(*argv: str) -> None:
    assert main(list(argv)) == 0


@pytest.fixture
def promoting(tmp_path: Path) -> Promoting:
    return Promoting.at(tmp_path)


@pytest.fixture
def server(
    promoting: Promoting, bucket: str, kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:  # fmt: skip
    """The server process, without a disk in common with the trainer, whose settings are ours."""
    create_topics(kafka_settings)
    client = connect(clickhouse_settings, create_database=True)
    migrate(client)
    client.close()
    declare(clickhouse_settings, promoting.encoder().fingerprint)
    world = {
        "base_model": promoting.base, "artifacts": bucket, "max_seq_length": 64,
        "kafka_bootstrap_servers": kafka_settings.kafka_bootstrap_servers,
        "topic_prefix": kafka_settings.topic_prefix,
        "clickhouse_url": clickhouse_settings.clickhouse_url.get_secret_value(),
    }  # fmt: skip
    trainers = load(TrainerSettings, **world, model_dir=promoting.registry.root)
    for name, value in environment(trainers).items():
        monkeypatch.setenv(name, value)
    folder, log = promoting.folder / "another machine", promoting.folder / "server.log"
    settings = load(
        ServingSettings, **world, serving_port=0, serving_index="docs",
        serving_dir=folder / "serving", model_dir=folder / "models",
    )  # fmt: skip
    process = spawn(module("ragwheel.serving"), log, environment(settings))
    made = Server(process, log)
    yield made
    end(process)


def declare(settings: ClickHouseSettings, fingerprint: str) -> None:
    """The index says whose vectors it holds, from now on."""
    now = datetime.now(UTC)
    row = ("docs", now.isoformat(), now, True, 1, "", fingerprint, "", 0, "")
    client = connect(settings)
    client.insert(INDEXES.name, [row], column_names=INDEXES.columns)
    client.close()


def flip_a_byte(url: str) -> Callable[[], None]:
    """Changes the weights at the store; undone by what is returned."""
    system, path = fsspec.core.url_to_fs(f"{url}/query_encoder/model.safetensors")
    whole = system.cat_file(path)
    system.pipe_file(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    return lambda: system.pipe_file(path, whole)


def test_a_promotion_reaches_every_request_and_what_is_wrong_reaches_none(
    server: Server, promoting: Promoting, bucket: str, clickhouse_settings: ClickHouseSettings
) -> None:
    one, two = promoting.train(1), promoting.train(2, canaries_of=3)
    eventually(server.listens, server.log.read_text, START_S)
    server.serves(promoting.base)
    asking = Asking(server.url)
    thread = Thread(target=asking.run)
    thread.start()
    try:
        ragwheel("models", "promote", one, "--reason", "a trial", "--force")
        server.serves(one)

        undo = flip_a_byte(ArtifactStore(bucket).put(promoting.registry.get(two)))
        ragwheel("models", "promote", two, "--reason", "a byte is wrong", "--force")
        assert "was changed" in server.refuses("artifact", but_serves=one)
        assert server.info()["alias"] == two
        ragwheel("models", "rollback")
        undo()
        ragwheel("models", "allow", two)
        ragwheel("models", "promote", two, "--reason", "canaries disagree", "--force")
        assert "when it was registered" in server.refuses("canaries", but_serves=one)
        ragwheel("models", "rollback")

        ragwheel("models", "rollback", "--reason", "the trial is over")
        server.serves(promoting.base)
        declare(clickhouse_settings, "another space of 384 dimensions")
        ragwheel("models", "allow", one)
        ragwheel("models", "promote", one, "--reason", "to an index of others", "--force")
        assert "whatever their dimension" in server.refuses("documents", promoting.base)
        seen = len(asking.models)
        eventually(lambda: len(asking.models) > seen + 2, server.log.read_text, SWAP_S)
    finally:
        asking.stop.set()
        thread.join()

    assert asking.failed == []
    order = [a for a, b in zip(asking.models, ["", *asking.models], strict=False) if a != b]
    assert order == [promoting.base, one, promoting.base]
    assert server.metric('ragwheel_serving_swaps_total{outcome="served"}') == 3
    assert server.metric("ragwheel_serving_model_info{") == 1
    # Nothing stale out of a cache, nothing of another model, in any answer.
    base = promoting.encoder()
    trained = load_encoder(promoting.registry.get(one).query_encoder, 64)
    for model, encoder in {promoting.base: base, one: trained}.items():
        wanted = encoder.encode([TEXT], "query")[0]
        assert (np.array(asking.queries[model]) @ wanted).min() > 0.9999
    assert float(asking.queries[one][0] @ asking.queries[promoting.base][0]) < 0.9
    texts = [f"{TEXT} code{number % 5}" for number in range(len(asking.documents))]
    cosines = np.einsum("ij,ij->i", np.array(asking.documents), base.encode(texts, "document"))
    assert cosines.min() > 0.9999, "the role document is the unchanged base model"
