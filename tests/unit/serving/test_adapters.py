"""Adapters refuse a store of another space, whatever the framework: its part is played here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.rigs.following import Promoting

from ragwheel.serving import QueryEncoder
from ragwheel.serving.query_encoder import OtherDocumentsError


@dataclass
class Passage:
    """Haystack's document."""

    content: str
    embedding: list[float] | None = None


class LlamaBase:
    """LlamaIndex's embedding takes names, and asks the adapter."""

    def __init__(self, **names: object) -> None:
        self.names = names


def component() -> Any:
    """Haystack's decorator, which says which types a component has."""

    def decorate(kind: type) -> type:
        return kind

    made: Any = decorate
    made.output_types = lambda **_: lambda method: method
    return made


FRAMEWORKS: dict[str, dict[str, object]] = {
    "langchain_core.embeddings": {"Embeddings": object},
    "llama_index.core.base.embeddings.base": {"BaseEmbedding": LlamaBase},
    "llama_index.core.embeddings": {"BaseEmbedding": LlamaBase},
    "llama_index.core.bridge.pydantic": {"PrivateAttr": lambda: None},
    "haystack": {"Document": Passage, "component": component()},
}


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    for name, content in FRAMEWORKS.items():
        parents = name.split(".")
        for depth in range(1, len(parents) + 1):
            each = ".".join(parents[:depth])
            if each not in sys.modules:
                monkeypatch.setitem(sys.modules, each, ModuleType(each))
        for key, value in content.items():
            monkeypatch.setattr(sys.modules[name], key, value, raising=False)
    names = [
        f"ragwheel.serving.adapters.{each}" for each in ("langchain", "llamaindex", "haystack")
    ]
    yield {name.rpartition(".")[2]: import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def calls(
    adapters: dict[str, ModuleType], encoder: QueryEncoder, store: str
) -> list[Callable[[], Any]]:
    chain = adapters["langchain"].RagwheelEmbeddings(encoder, store)
    llama = adapters["llamaindex"].RagwheelEmbedding(encoder, store)
    haystack = adapters["haystack"]
    documents = haystack.RagwheelDocumentEmbedder(encoder, store)
    return [
        lambda: chain.embed_query("ask1"),
        lambda: chain.embed_documents(["code1"]),
        lambda: llama._get_query_embedding("ask1"),
        lambda: llama._get_text_embeddings(["code1"]),
        lambda: haystack.RagwheelTextEmbedder(encoder, store).run("ask1"),
        lambda: documents.run([Passage("code1")]),
    ]


def test_every_adapter_refuses_a_store_of_another_space(
    tmp_path: Path, adapters: dict[str, ModuleType]
) -> None:
    promoting = Promoting.at(tmp_path)
    promoting.promote(promoting.train(1))
    with promoting.follower() as follower:
        encoder = QueryEncoder(follower)
        ours = encoder.served()["document_fingerprint"]
        for call in (*calls(adapters, encoder, ours), *calls(adapters, encoder, "")):
            assert call()
        for call in calls(adapters, encoder, "64 dimensions of another model"):
            with pytest.raises(OtherDocumentsError, match="whatever their dimension"):
                call()
