"""The README.md of an exported model: what it is, what was proven, of what it was made. Pure.

Laid out as a card of the Hugging Face hub, so that the hub and whoever opens the folder read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from ragwheel.models.exports.taken import TakenSide
from ragwheel.models.packaged import at_hub, packaged_model

#: The base model that comes as a package, as the hub knows it.
_PACKAGED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
_LICENCE = re.compile(r"^license:\s*['\"]?([^'\"\n]+?)['\"]?\s*$", re.MULTILINE)
_LOADED = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("THIS_FOLDER")
vectors = model.{call}({texts}, normalize_embeddings=True)
```"""


def model_card(taken: TakenSide) -> str:
    """The card as Markdown with a YAML head."""
    manifest = taken.manifest
    base, licence = public_name(manifest.base_model), licence_of(manifest.base_model)
    head: dict[str, object] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "ragwheel", f"{taken.side}-side"],
    }
    if "/" in base:
        head["base_model"] = base
    if licence:
        head["license"] = licence
    # JSON is YAML, and quotes what must be quoted.
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", ""]
    lines += _of_query(taken, base) if taken.side == "query" else _of_document(taken, base)
    lines += ["", "## Licence", ""]
    lines.append(
        f"The base model, {base}, is under {licence}. What was trained from it is, too, and the "
        "texts that it was trained on are yours to judge."
        if licence
        else f"Not stated where this was exported: that of the base model, {base}, applies."
    )
    return "\n".join(lines) + "\n"


def public_name(base_model: str) -> str:
    """A base model as others know it: never a path of the machine that trained."""
    if base_model == str(packaged_model()):
        return _PACKAGED_NAME
    name, _ = at_hub(base_model)
    return Path(name).name if Path(name).exists() or name.startswith(("/", ".", "~")) else name


def licence_of(base_model: str) -> str | None:
    """What the card of a base model states; None where there is no card on this machine."""
    name, revision = at_hub(base_model)
    card: Path | None = Path(name) / "README.md"
    if not Path(name).exists():
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return None
        if name.count("/") > 1:  # a folder that is gone: no name of the hub
            return None
        found = try_to_load_from_cache(name, "README.md", revision=revision)
        card = Path(found) if isinstance(found, str) else None
    if card is None or not card.is_file():
        return None
    head = card.read_text("utf-8").partition("\n---")[0]
    stated = _LICENCE.search(head)
    return stated[1] if stated else None


def _of_query(taken: TakenSide, base: str) -> Iterable[str]:
    manifest = taken.manifest
    return [
        f"# {base}, trained on queries of your own",
        "",
        f"Encodes **queries**. Their vectors are compared with those that {base} makes of documents"
        f" (fingerprint `{manifest.document_fingerprint}`), and with no others. Documents that you "
        "embed with this folder are in another space.",
        "",
        *_verdict(taken),
        "",
        "## How to load it",
        "",
        _LOADED.format(call="encode_query", texts='["how do I rotate a key?"]'),
        "",
        _LENGTH.format(length=manifest.config.max_seq_length),
        "",
        "## How it was made",
        "",
        *_made_of(taken),
    ]


_LENGTH = (
    "Prompts are in `config_sentence_transformers.json`; `encode_query` and `encode_document` put "
    "them before each text. Of a text, at most {length} tokens are read."
)


def _of_document(taken: TakenSide, base: str) -> Iterable[str]:
    return [
        f"# {base}, for documents",
        "",
        f"Encodes the **documents** that queries of model `{taken.model_id}` are compared with "
        f"(fingerprint `{taken.manifest.document_fingerprint}`). It is {base} unchanged, with the "
        "prompts and the length in force when that model was trained.",
        "",
        "## How to load it",
        "",
        _LOADED.format(call="encode_document", texts='["a passage of your corpus"]'),
        "",
        _LENGTH.format(length=taken.manifest.config.max_seq_length),
    ]


def _verdict(taken: TakenSide) -> Iterable[str]:
    report = taken.report
    if report is None:
        return ["## Verdict", "", "No gate has judged this model."]
    verdict = cast(Mapping[str, Any], report["verdict"])
    figures = cast("list[Mapping[str, Any]]", report.get("figures") or [])
    rows = [each for each in figures if each["segment"] == "*" and ":" not in each["system"]]
    said = [
        "## Verdict",
        "",
        f"**{verdict['action']}** on {str(report['at'])[:10]}, against "
        f"`{public_name(str(report['incumbent_id']))}`: {verdict['reason']}",
    ]
    if rows:
        said += ["", "| metric | system | value, 95 % interval | queries |", "|---|---|---|---|"]
        said += [
            f"| {each['metric']}@{each['k']} | {each['system']} | "
            f"{each['interval']['value']:.3f} [{each['interval']['low']:.3f}, "
            f"{each['interval']['high']:.3f}] | {each['queries']:,} |"
            for each in rows
        ]
        said += ["", "`delta` is the paired difference to what served. Held-out queries only."]
    if worse := verdict.get("worse_segments"):
        said += ["", f"Proven worse in: {', '.join(worse)}."]
    return said


def _made_of(taken: TakenSide) -> Iterable[str]:
    manifest, data = taken.manifest, taken.manifest.data
    counts = {
        "Model": f"`{taken.model_id}`",
        "Snapshot": f"`{manifest.snapshot_id}`, seed {manifest.seed}",
        "Queries": _counts(data.get("queries")),
        "Examples": _counts(data.get("examples")),
        "Grades": _counts(data.get("grades")),
        "Who graded": ", ".join(data.get("graders") or ()),
        "Triplets": f"{data.get('triplets', 0):,}",
        "Training": _counts(manifest.config.model_dump()),
        "Versions": _counts(manifest.versions),
    }
    return ["| what | value |", "|---|---|"] + [
        f"| {name} | {value} |" for name, value in counts.items() if value
    ]


def _counts(counts: Mapping[str, object] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (counts or {}).items())
