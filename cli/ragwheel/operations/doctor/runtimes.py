"""What the extras bring: packages, torch, the base model."""

from __future__ import annotations

import json
import sys

from ragwheel.operations.doctor.finding import Finding, fail, ok, warn
from ragwheel.operations.doctor.trial import ProbeError, run_probe
from ragwheel.operations.extras import EXTRAS, install_command, missing_packages

_MODEL_PROBE = """
import json, sys, torch
from sentence_transformers import SentenceTransformer
cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
print(json.dumps({"torch": torch.__version__, "cuda": cuda}), flush=True)
model = SentenceTransformer(sys.argv[1], revision=sys.argv[2] or None, device="cpu")
vector = model.encode("a query")
print(json.dumps({"dimensions": len(vector)}))
"""
_PURPOSES = {
    "cli": "the command line",
    "streams": "intake, accounts and grader",
    "trainers": "the trainer",
    "serving": "the server",
    "local": "`ragwheel up` and `ragwheel demo`",
}


def packages(extra: str) -> Finding:
    """Whether an extra is there, in part or not at all."""
    subject = f"packages [{extra}]"
    missing = missing_packages(extra)
    if not missing:
        return ok(subject, f"{len(EXTRAS[extra])} packages, for {_PURPOSES[extra]}")
    own = own_packages(extra)
    if own <= set(missing):
        return warn(subject, f"not installed: no {_PURPOSES[extra]} here", install_command(extra))
    return fail(subject, f"missing: {', '.join(missing)}", install_command(extra))


def own_packages(extra: str) -> set[str]:
    """Packages that no other extra brings."""
    others = {name for other, names in EXTRAS.items() if other != extra for name in names}
    return set(EXTRAS[extra]) - others


def torch_and_model(base_model: str) -> list[Finding]:
    """Whether torch works, sees a GPU, and the base model loads and encodes."""
    from ragwheel.models.packaged import at_hub  # not in every image

    bare, revision = at_hub(base_model)
    try:
        output = run_probe([sys.executable, "-c", _MODEL_PROBE, bare, revision or ""])
    except ProbeError as error:
        return [
            fail(
                "base model",
                f"{base_model!r} does not load: {error}",
                "set RAGWHEEL_BASE_MODEL to a model's folder or id, or allow the download",
            )
        ]
    first, last = output.splitlines()[0], output.splitlines()[-1]
    about, model = json.loads(first), json.loads(last)
    device = f"CUDA: {about['cuda']}" if about["cuda"] else "no CUDA; trains on the CPU"
    return [
        ok("torch", f"{about['torch']}, {device}"),
        ok("base model", f"{base_model} loads, {model['dimensions']} dimensions"),
    ]
