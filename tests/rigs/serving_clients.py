# mypy: ignore-errors
# What it imports is only in .venv-clients (`make clients`), where nothing is type-checked.
"""Asks a server through its users' own libraries and prints what each of them got, as JSON.

Run by the Python of .venv-clients: `serving_clients.py http://127.0.0.1:8400 KEY MAX_TEXTS ROOT`.
Every text is sent once, so that the server can tell by the text who asked.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["ANONYMIZED_TELEMETRY"] = "False"

QUERY, DOCUMENTS = "a wheel turns", ["axles are greased", "a wheel turns", "nothing"]
WRONG_KEY = "wrong"


@dataclass
class Got:
    """What one client got.

    Attributes:
        vectors: how it asked → (text, vector) of two texts.
        errors: what was wrong → kind and message of what the client raised.
    """

    client: str
    vectors: dict[str, list[tuple[str, list[float]]]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)

    def ask(self, how: str, embed: Callable[[list[str]], Sequence[Sequence[float]]]) -> None:
        """Embed two texts of unequal length."""
        texts = [f"{self.client}, {how}: {text}" for text in ("spokes", "a wheel of many spokes")]
        vectors = [list(vector) for vector in embed(texts)]
        self.vectors[how] = list(zip(texts, vectors, strict=True))

    def fail(self, what: str, ask: Callable[[], Any]) -> None:
        """Note what the client shows of a refusal."""
        try:
            shown = ask()
        except Exception as error:  # noqa: BLE001 - whatever a library raises is what is told
            self.errors[what] = [type(error).__name__, str(error)]
        else:
            self.errors[what] = ["nothing", repr(shown)[:500]]

    def fail_all(self, embed: Callable[[str, list[str], str], Any], key: str, most: int) -> None:
        """Ask with an unknown model, an empty text, no right key, and too many texts."""
        self.fail("unknown model", partial(embed, "gpt", ["a"], key))
        self.fail("empty text", partial(embed, "ragwheel", [""], key))
        self.fail("no key", partial(embed, "ragwheel", ["a"], WRONG_KEY))
        # Haystack embeds equal texts once.
        many = [f"text {number}" for number in range(most + 1)]
        self.fail("too many texts", partial(embed, "ragwheel", many, key))


def openai_client(got: Got, url: str, key: str, most: int) -> None:
    """Its default is base64; `float` is asked for beside it."""
    from openai import OpenAI

    def create(model: str, texts: list[str], key: str = key, **more: Any) -> Any:
        client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        return client.embeddings.create(model=model, input=texts, **more)

    def embed(model: str, texts: list[str], **more: Any) -> Any:
        return [each.embedding for each in create(model, texts, **more).data]

    client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    raw = client.embeddings.with_raw_response.create(model="ragwheel:document", input="headers")
    got.other["headers"] = {k: v for k, v in raw.headers.items() if k.startswith("x-ragwheel")}
    got.other["models"] = [each.id for each in client.models.list()]
    got.ask("bare name", partial(embed, "ragwheel"))
    got.ask("query", partial(embed, "ragwheel:query"))
    got.ask("document", partial(embed, "ragwheel:document"))
    got.ask("floats", partial(embed, "ragwheel:document", encoding_format="float"))
    role = {"input_type": "passage"}
    got.ask("input_type", partial(embed, "ragwheel", extra_body=role))
    got.fail_all(create, key, most)
    got.fail("dimensions", partial(create, "ragwheel", ["a"], dimensions=7))


def langchain_client(got: Got, url: str, key: str, most: int) -> None:
    """Its defaults send token ids.

    Its tokenizer would be downloaded: one of bytes is registered under the name that it asks for.
    """
    import tiktoken
    from langchain_openai import OpenAIEmbeddings

    tiktoken.registry.ENCODINGS["cl100k_base"] = tiktoken.Encoding(
        "cl100k_base",
        pat_str=r"(?s).",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={},
    )

    def made(model: str, key: str = key, **more: Any) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(
            model=model, base_url=f"{url}/v1", api_key=key, max_retries=0, **more
        )

    def embed(model: str, texts: list[str], key: str) -> Any:
        return made(model, key, check_embedding_ctx_length=False).embed_documents(texts)

    defaults = made("ragwheel")
    got.fail("defaults, query", partial(defaults.embed_query, QUERY))
    got.fail("defaults, documents", partial(defaults.embed_documents, DOCUMENTS))
    plain = made("ragwheel", check_embedding_ctx_length=False)
    got.ask("bare name, embed_query", lambda texts: [plain.embed_query(text) for text in texts])
    got.ask("bare name, embed_documents", plain.embed_documents)
    got.ask("document", lambda texts: embed("ragwheel:document", texts, key))
    got.fail_all(embed, key, most)


def cohere_client(got: Got, url: str, key: str, most: int) -> None:
    """The one wire that demands the role."""
    import cohere

    def create(model: str, texts: list[str], key: str, **more: Any) -> Any:
        client = cohere.ClientV2(api_key=key, base_url=url)
        how = {"input_type": "search_query", "embedding_types": ["float"]} | more
        return client.embed(model=model, texts=texts, **how).embeddings

    for role in ("search_query", "search_document"):
        got.ask(
            role, lambda texts, role=role: create("ragwheel", texts, key, input_type=role).float_
        )
    client = cohere.ClientV2(api_key=key, base_url=url)
    ranked = client.rerank(model="ragwheel", query=QUERY, documents=DOCUMENTS, top_n=2)
    got.other["rerank"] = [[each.index, each.relevance_score] for each in ranked.results]
    got.fail_all(create, key, most)
    for name, value in (("truncate", "NONE"), ("embedding_types", ["int8"])):
        got.fail(name, partial(create, "ragwheel", ["a"], key, **{name: value}))


def llama_index_client(got: Got, url: str, key: str, most: int) -> None:
    """One model name serves both its methods: an object per role is needed."""
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    def made(name: str, key: str = key) -> OpenAILikeEmbedding:
        how = {"api_base": f"{url}/v1", "api_key": key, "max_retries": 0}
        # It sends ten texts at a time if it is not told otherwise.
        return OpenAILikeEmbedding(model_name=name, embed_batch_size=most + 1, **how)

    def embed(model: str, texts: list[str], key: str) -> Any:
        return made(model, key).get_text_embedding_batch(texts)

    def queries(model: str, texts: list[str]) -> Any:
        return [made(model).get_query_embedding(text) for text in texts]

    got.ask("bare name, query", partial(queries, "ragwheel"))
    got.ask("bare name, text", lambda texts: embed("ragwheel", texts, key))
    got.ask("query", partial(queries, "ragwheel:query"))
    got.ask("document", lambda texts: embed("ragwheel:document", texts, key))
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in DOCUMENTS]
    reranker = TextEmbeddingInference(base_url=url, top_n=2, auth_token=f"Bearer {key}")
    ranked = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    got.other["rerank"] = [[DOCUMENTS.index(each.node.text), each.score] for each in ranked]
    got.fail_all(embed, key, most)


def haystack_client(got: Got, url: str, key: str, most: int) -> None:
    """It has a component per role, and so a model name per role."""
    from haystack import Document
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
    from haystack.utils import Secret

    def how(key: str) -> dict[str, Any]:
        token = Secret.from_token(key)
        return {"api_base_url": f"{url}/v1", "api_key": token, "max_retries": 0}

    def embed(model: str, texts: list[str], key: str, *, raises: bool = True) -> Any:
        embedder = OpenAIDocumentEmbedder(
            model=model, progress_bar=False, raise_on_failure=raises, **how(key)
        )
        found = embedder.run([Document(content=text) for text in texts])["documents"]
        return [each.embedding for each in found]

    query = OpenAITextEmbedder(model="ragwheel:query", **how(key))
    got.ask("query", lambda texts: [query.run(text)["embedding"] for text in texts])
    got.ask("document", lambda texts: embed("ragwheel:document", texts, key))
    got.fail_all(embed, key, most)
    got.fail("defaults, documents", partial(embed, "gpt", ["a"], key, raises=False))
    wrong = OpenAITextEmbedder(model="gpt", **how(key))
    got.fail("unknown model, query", partial(wrong.run, "a"))


def our_adapters(got: Got, url: str, key: str, most: int) -> None:
    """Ours borrow any object with an encoder's two methods: this one asks the server."""
    import httpx

    root = Path(sys.argv[4])
    sys.path[:0] = [str(root / each) for each in ("schemas", "client", "models", "serving")]
    # The package itself imports torch's room, which is not installed here.
    package = types.ModuleType("ragwheel.serving")
    package.__path__ = [str(root / "serving" / "ragwheel" / "serving")]
    sys.modules["ragwheel.serving"] = package
    from haystack import Document, Pipeline
    from langchain_core.embeddings import Embeddings

    from ragwheel.serving.adapters.haystack import RagwheelDocumentEmbedder, RagwheelTextEmbedder
    from ragwheel.serving.adapters.langchain import RagwheelEmbeddings
    from ragwheel.serving.adapters.llamaindex import RagwheelEmbedding

    class AskingEncoder:
        def encode_queries(self, texts: list[str], *, store: str = "") -> Any:
            return self._encode(texts, "query", store)

        def encode_documents(self, texts: list[str], *, store: str = "") -> Any:
            return self._encode(texts, "document", store)

        def _encode(self, texts: list[str], role: str, store: str) -> Any:
            body = {"inputs": texts, "prompt_name": role}
            headers = {"authorization": f"Bearer {key}"}
            answer = httpx.post(f"{url}/embed", json=body, headers=headers)
            answer.raise_for_status()
            if store and store != answer.headers["x-ragwheel-documents"]:
                raise ValueError(f"the store holds vectors of space {store!r}")
            return answer.json()

    encoder, other = AskingEncoder(), "another space"
    chain = RagwheelEmbeddings(encoder)
    assert isinstance(chain, Embeddings)
    got.ask("LangChain, query", lambda texts: [chain.embed_query(text) for text in texts])
    got.ask("LangChain, document", chain.embed_documents)
    got.fail("LangChain", partial(RagwheelEmbeddings(encoder, other).embed_query, "a"))
    llama = RagwheelEmbedding(encoder)
    got.ask("LlamaIndex, query", lambda texts: [llama.get_query_embedding(text) for text in texts])
    got.ask("LlamaIndex, document", llama.get_text_embedding_batch)
    got.fail("LlamaIndex", partial(RagwheelEmbedding(encoder, other).get_query_embedding, "a"))
    pipeline = Pipeline()
    pipeline.add_component("text", RagwheelTextEmbedder(encoder))
    documents = RagwheelDocumentEmbedder(encoder)

    def query(text: str) -> list[float]:
        return pipeline.run({"text": {"text": text}})["text"]["embedding"]

    def filled(texts: list[str]) -> Any:
        return documents.run([Document(content=text) for text in texts])["documents"]

    got.ask("Haystack, query", lambda texts: [query(text) for text in texts])
    got.ask("Haystack, document", lambda texts: [each.embedding for each in filled(texts)])
    got.fail("Haystack", partial(RagwheelTextEmbedder(encoder, other).run, "a"))


CLIENTS: dict[str, Callable[[Got, str, str, int], None]] = {
    "openai": openai_client,
    "langchain-openai": langchain_client,
    "cohere": cohere_client,
    "llama-index": llama_index_client,
    "haystack": haystack_client,
    "our adapters": our_adapters,
}


def main() -> None:
    """Ask with every client, in order."""
    url, key, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
    got = [Got(name) for name in CLIENTS]
    for each in got:
        CLIENTS[each.client](each, url, key, most)
    json.dump({each.client: asdict(each) for each in got}, sys.stdout)


if __name__ == "__main__":
    main()
