# mypy: ignore-errors
# What it imports is only in .venv-clients (`make clients`), where nothing is type-checked.
"""Asks a server through its users' own libraries and prints what each of them got, as JSON.

Run by the Python of .venv-clients: `serving_clients.py http://127.0.0.1:8400 KEY`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

#: What is embedded; the test knows the vectors of both roles.
QUERY, DOCUMENT = "how does a wheel turn", "A wheel turns around its axle."
DOCUMENTS = ["axles are greased", "a wheel turns", "nothing"]

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["ANONYMIZED_TELEMETRY"] = "False"


def openai_client(url: str, key: str) -> dict[str, Any]:
    """Its default is base64; `float` is asked for beside it."""
    from openai import BadRequestError, NotFoundError, OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    found: dict[str, Any] = {}
    for name in ("ragwheel", "ragwheel:query", "ragwheel:document"):
        made = client.embeddings.create(model=name, input=[QUERY, DOCUMENT])
        found[name] = [each.embedding for each in made.data]
    raw = client.embeddings.with_raw_response.create(model="ragwheel:document", input=DOCUMENT)
    found["headers"] = {k: v for k, v in raw.headers.items() if k.startswith("x-ragwheel")}
    plain = client.embeddings.create(
        model="ragwheel:document", input=[QUERY, DOCUMENT], encoding_format="float"
    )
    found["float"] = [each.embedding for each in plain.data]
    role = client.embeddings.create(
        model="ragwheel", input=DOCUMENT, extra_body={"input_type": "passage"}
    )
    found["input_type"] = role.data[0].embedding
    found["models"] = [each.id for each in client.models.list()]
    for name, error, how in (
        ("unknown", NotFoundError, {"model": "gpt", "input": "a"}),
        ("empty", BadRequestError, {"model": "ragwheel", "input": ""}),
        ("dimensions", BadRequestError, {"model": "ragwheel", "input": "a", "dimensions": 7}),
    ):
        try:
            client.embeddings.create(**how)
        except error as refused:
            found[name] = {"message": refused.body["message"], "code": refused.body["code"]}
    return found


def langchain_client(url: str, key: str) -> dict[str, Any]:
    """With its defaults it sends token ids. Its tokenizer would be downloaded: bytes stand in."""
    import tiktoken
    from langchain_openai import OpenAIEmbeddings

    every_byte = {bytes([value]): value for value in range(256)}
    of_bytes = tiktoken.Encoding(
        "bytes", pat_str=r"(?s).", mergeable_ranks=every_byte, special_tokens={}
    )
    tiktoken.encoding_for_model = tiktoken.get_encoding = lambda _: of_bytes
    how = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
    found: dict[str, Any] = {}
    try:
        OpenAIEmbeddings(model="ragwheel", **how).embed_query(QUERY)
    except Exception as refused:  # noqa: BLE001 - whatever a library raises is what is told
        found["defaults"] = {"kind": type(refused).__name__, "message": str(refused)}
    plain = OpenAIEmbeddings(model="ragwheel", check_embedding_ctx_length=False, **how)
    found["bare"] = [plain.embed_query(QUERY), plain.embed_documents([DOCUMENT])[0]]
    index = OpenAIEmbeddings(model="ragwheel:document", check_embedding_ctx_length=False, **how)
    found["document"] = index.embed_documents([DOCUMENT])[0]
    return found


def cohere_client(url: str, key: str) -> dict[str, Any]:
    """The one wire that demands the role."""
    import cohere

    client = cohere.ClientV2(api_key=key, base_url=url)
    found: dict[str, Any] = {}
    for role, text in (("search_query", QUERY), ("search_document", DOCUMENT)):
        made = client.embed(
            model="ragwheel", input_type=role, texts=[text], embedding_types=["float"]
        )
        found[role] = made.embeddings.float_[0]
    ranked = client.rerank(model="ragwheel", query=QUERY, documents=DOCUMENTS, top_n=2)
    found["rerank"] = [[each.index, each.relevance_score] for each in ranked.results]
    try:
        client.embed(model="gpt", input_type="search_query", texts=["a"])
    except cohere.NotFoundError as refused:
        found["unknown"] = refused.body["message"]
    return found


def llama_index_client(url: str, key: str) -> dict[str, Any]:
    """One model name serves both its methods: an object per role is needed."""
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    def embedding(name: str) -> Any:
        return OpenAILikeEmbedding(
            model_name=name, api_base=f"{url}/v1", api_key=key, max_retries=0
        )

    bare = embedding("ragwheel")
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in DOCUMENTS]
    reranker = TextEmbeddingInference(base_url=url, top_n=2, auth_token=f"Bearer {key}")
    ranked = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    return {
        "bare": [bare.get_query_embedding(QUERY), bare.get_text_embedding(DOCUMENT)],
        "query": embedding("ragwheel:query").get_query_embedding(QUERY),
        "document": embedding("ragwheel:document").get_text_embedding(DOCUMENT),
        "rerank": [[DOCUMENTS.index(each.node.text), each.score] for each in ranked],
    }


def haystack_client(url: str, key: str) -> dict[str, Any]:
    """It has a component per role, and so a model name per role."""
    from haystack import Document
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
    from haystack.utils import Secret

    how = {"api_base_url": f"{url}/v1", "api_key": Secret.from_token(key), "max_retries": 0}
    text = OpenAITextEmbedder(model="ragwheel:query", **how)
    documents = OpenAIDocumentEmbedder(model="ragwheel:document", progress_bar=False, **how)
    return {
        "query": text.run(QUERY)["embedding"],
        "document": documents.run([Document(content=DOCUMENT)])["documents"][0].embedding,
    }


CLIENTS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "openai": openai_client,
    "langchain-openai": langchain_client,
    "cohere": cohere_client,
    "llama-index": llama_index_client,
    "haystack": haystack_client,
}


def main() -> None:
    """Ask with every client, in order."""
    url, key = sys.argv[1:]
    json.dump({name: ask(url, key) for name, ask in CLIENTS.items()}, sys.stdout)


if __name__ == "__main__":
    main()
