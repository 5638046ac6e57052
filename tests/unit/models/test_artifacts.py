"""Models at a URL: whole or not there, unchanged or refused, on a disk and on a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from tests.unit.models.test_registry import add

from ragwheel.models.artifacts import ArtifactError, ArtifactStore
from ragwheel.models.manifest import MANIFEST_FILE
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas.errors import ConfigError, DependencyError, UnavailableError

BUCKET = "wheel"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 server of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket; the environment says how to reach it, as for a process."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    bucket = fsspec.filesystem("s3")
    if not bucket.exists(BUCKET):
        bucket.mkdir(BUCKET)
    elif bucket.exists(f"{BUCKET}/artifacts"):
        bucket.rm(f"{BUCKET}/artifacts", recursive=True)
    return f"s3://{BUCKET}/artifacts"


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "s3":
        return ArtifactStore(request.getfixturevalue("s3"))
    return ArtifactStore(str(tmp_path / "a place"))


@pytest.fixture
def trained(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "trainer")


@pytest.fixture
def local(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "server")


def files_at(store: ArtifactStore, model_id: str) -> list[str]:
    system, root = fsspec.core.url_to_fs(store.url_of(model_id))
    return sorted(path[len(root) + 1 :] for path in system.find(root))


def test_what_is_put_can_be_fetched_by_another_machine(
    store: ArtifactStore, trained: ModelRegistry, local: ModelRegistry
) -> None:
    model_id = add(trained)
    assert not store.has(model_id)
    url = store.put(trained.get(model_id))
    assert store.put(trained.get(model_id)) == url == store.url_of(model_id)
    assert "://" in url
    assert store.fetch(model_id, local).manifest == trained.get(model_id).manifest
    local.verify(model_id)
    assert local.ids() == [model_id]


def test_half_an_upload_is_no_model(
    store: ArtifactStore, trained: ModelRegistry, local: ModelRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model_id = add(trained)
    write = store._write

    def cut_off(target: str, source: Path) -> None:
        if source.name == MANIFEST_FILE:
            raise UnavailableError("the line is dead")
        write(target, source)

    monkeypatch.setattr(store, "_write", cut_off)
    with pytest.raises(UnavailableError):
        store.put(trained.get(model_id))
    assert files_at(store, model_id), "something is there"
    assert not store.has(model_id)
    with pytest.raises(ArtifactError, match=f"no model '{model_id}'"):
        store.fetch(model_id, local)
    monkeypatch.undo()


def test_an_upload_that_was_cut_off_is_finished(
    store: ArtifactStore, trained: ModelRegistry, local: ModelRegistry
) -> None:
    model_id = add(trained)
    folder = trained.get(model_id).folder
    store._write(store._at(model_id, "query_encoder/model.safetensors"), folder / MANIFEST_FILE)
    store.put(trained.get(model_id))
    assert store.fetch(model_id, local).model_id == model_id


def test_changed_bytes_are_refused_and_nothing_of_them_is_kept(
    store: ArtifactStore, trained: ModelRegistry, local: ModelRegistry
) -> None:
    model_id = add(trained)
    store.put(trained.get(model_id))
    system, root = fsspec.core.url_to_fs(store.url_of(model_id))
    system.pipe_file(f"{root}/query_encoder/model.safetensors", b"other weights")
    with pytest.raises(ArtifactError, match="was changed"):
        store.fetch(model_id, local)
    assert local.ids() == []
    assert list((local.root / "models").iterdir()) == []


def test_a_local_copy_that_is_damaged_is_fetched_again(
    store: ArtifactStore, trained: ModelRegistry, local: ModelRegistry
) -> None:
    model_id = add(trained)
    store.put(trained.get(model_id))
    weights = store.fetch(model_id, local).query_encoder / "model.safetensors"
    weights.write_text("bit rot")
    store.fetch(model_id, local)
    local.verify(model_id)


def test_the_pointer_is_what_was_written_last(store: ArtifactStore) -> None:
    assert store.current() is None
    for alias in (b"{}", b'{"promotions": []}'):
        store.point(alias)
        assert store.current() == alias


def test_the_model_directory_is_a_store_without_a_copy(trained: ModelRegistry) -> None:
    model_id = add(trained)
    store = ArtifactStore(str(trained.root))
    assert store.is_at(trained.root)
    assert store.has(model_id)
    assert store.fetch(model_id, trained).folder == trained.get(model_id).folder
    assert not ArtifactStore("memory://elsewhere").is_at(trained.root)


@pytest.mark.parametrize(
    ("url", "fix"),
    [("gs://bucket/models", "pip install gcsfs"), ("az://box/models", "pip install adlfs")],
)
def test_a_scheme_without_its_package_names_the_install(url: str, fix: str) -> None:
    with pytest.raises(DependencyError, match=fix):
        ArtifactStore(url)


def test_a_scheme_that_nobody_knows_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_ARTIFACTS: 'carrier-pigeon://x'"):
        ArtifactStore("carrier-pigeon://x")


@pytest.mark.parametrize("model_id", ["../../etc", "", "sentence-transformers/base", "0" * 17])
def test_what_is_no_content_address_is_no_path(
    store: ArtifactStore, local: ModelRegistry, model_id: str
) -> None:
    with pytest.raises(ArtifactError, match="is no model id"):
        store.fetch(model_id, local)


def test_a_store_that_is_gone_is_unavailable(
    s3: str, monkeypatch: pytest.MonkeyPatch, trained: ModelRegistry
) -> None:
    model_id = add(trained)
    with pytest.raises(UnavailableError, match=r"artifact store s3://no-such-bucket/x"):
        ArtifactStore("s3://no-such-bucket/x").put(trained.get(model_id))
