"""A whole encoder as one ONNX graph: pooling and normalising included, and measured.

sentence-transformers exports the transformer alone and pools in torch
(https://github.com/huggingface/sentence-transformers/issues/3258); here nothing of torch is left.
A copy is offered when it proved what it is for, on this CPU, against fp32 torch in the same run:

- fp32: it makes the vectors of its source;
- int8 (dynamic: weights are stored, activations are scaled as they come): it is at least twice as
  fast, one text at a time and in batches, and loses at most half a point of recall@10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.exports.model_card import model_card
from ragwheel.models.exports.onnx_encoder import (
    MODEL_FILE,
    SPEC_FILE,
    TOKENIZER_FILE,
    OnnxSpec,
    Precision,
    digest_of,
    load_onnx,
    space_of,
)
from ragwheel.models.exports.onnx_graph import TorchFp32, quantize, save_graph
from ragwheel.models.exports.onnx_trial import Trial, measure
from ragwheel.models.exports.taken import ModelExportError, TakenSide, new_folder

#: Smallest cosine of an fp32 copy to its source, over all texts that are compared.
SAME_SPACE = 0.9999
#: int8 is worth its loss from this on: it is what replaces fp32 torch.
MIN_SPEED_UP = 2.0
#: Points of recall@10, of 1, that int8 may lose.
MAX_DROP = 0.005


def write_onnx(
    taken: TakenSide, to: Path, precision: Precision, trial: Trial, progress: Callable[[str], None]
) -> OnnxSpec:
    """Write and measure an ONNX copy; `onnx_encoder.load_onnx` loads it.

    Args:
        to: a new or empty folder; nothing is there unless the copy is offered.
        trial: texts that it is measured with.
        progress: told in lines what happens.

    Returns:
        What the folder says of itself, with the figures.

    Raises:
        ModelExportError: the copy is not offered, with the figures; or the model has a part that
            has no place in a graph.
        DependencyError: onnx or onnxruntime is not installed.
    """
    if precision == "int8" and not trial.queries:
        raise ModelExportError(
            "int8 is not offered: there is no held-out query with a relevant text to measure its "
            f"loss with (snapshot {taken.manifest.snapshot_id}); fp32 needs none"
        )
    with new_folder(to) as staged:
        source = load_encoder(taken.folder, taken.manifest.config.max_seq_length)
        source.model.to("cpu")
        progress(f"exporting {taken.model_id}, {taken.side} side, {precision}")
        save_graph(source, staged / MODEL_FILE)
        if precision == "int8":
            quantize(staged / MODEL_FILE)
        source.model.tokenizer.backend_tokenizer.save(str(staged / TOKENIZER_FILE))
        spec = _spec(taken, source, staged, precision)
        _write_spec(staged, spec)
        progress(f"measuring with {len(trial.queries):,} queries, {len(trial.documents):,} texts")
        copy = load_onnx(staged)
        measured = measure(TorchFp32(source), copy, taken.side, trial)
        progress(str(measured))
        if why := refusal(precision, measured.figures()):
            raise ModelExportError(f"{precision} is not offered: {why}. {measured}")
        spec = spec.model_copy(update={"measured": measured.figures()})
        _write_spec(staged, spec)
        (staged / "README.md").write_text(_card(taken, str(measured)), encoding="utf-8")
    return spec


def refusal(precision: Precision, figures: Mapping[str, float]) -> str:
    """Why a copy is not offered; empty: it is."""
    if precision == "fp32":
        if figures["cosine"] < SAME_SPACE:
            return f"its vectors are others (least cosine below {SAME_SPACE})"
        return ""
    if figures["recall_drop"] > MAX_DROP:
        return f"it loses more than {100 * MAX_DROP:g} points of recall@10"
    slower = min(figures["speed_up_one"], figures["speed_up_batch"])
    return f"it is not {MIN_SPEED_UP:g} times as fast here" if slower < MIN_SPEED_UP else ""


def _spec(taken: TakenSide, source: TextEncoder, folder: Path, precision: Precision) -> OnnxSpec:
    tokenizer = source.model.tokenizer
    return OnnxSpec(
        model_id=taken.model_id,
        side=taken.side,
        precision=precision,
        fingerprint=space_of(source.fingerprint, taken.side, precision),
        dimension=source.dimension,
        max_seq_length=source.max_seq_length or taken.manifest.config.max_seq_length,
        prompts={"query": source.prompt("query"), "document": source.prompt("document")},
        pad_token=tokenizer.pad_token,
        pad_id=tokenizer.pad_token_id,
        digests={name: digest_of(folder / name) for name in (MODEL_FILE, TOKENIZER_FILE)},
        measured={},
    )


def _write_spec(folder: Path, spec: OnnxSpec) -> None:
    (folder / SPEC_FILE).write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _card(taken: TakenSide, measured: str) -> str:
    said = f"""
## This copy

One ONNX graph, pooling and normalising included: `{MODEL_FILE}` takes `input_ids` and
`attention_mask`, and gives unit vectors. Put the prompt of `{SPEC_FILE}` before each text.

Measured when it was exported: {measured}

```python
from ragwheel.models.exports.onnx_encoder import load_onnx

vectors = load_onnx(Path("THIS_FOLDER")).encode(texts, "{taken.side}")
```
"""
    return model_card(taken) + said
