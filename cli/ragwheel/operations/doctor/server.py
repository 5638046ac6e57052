"""What the server needs to answer: safe settings, the artifact store, a declared index."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import orjson

from ragwheel.models.artifacts import artifacts_of
from ragwheel.operations.doctor.finding import Finding, failed, ok, warn
from ragwheel.schemas.errors import ConfigError, RagwheelError
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.declared import Declarations, DeclaredIndexes
from ragwheel.serving.process import require_safe


def server(
    settings: ServingSettings, *, configured: bool, declarations: Declarations | None = None
) -> Iterator[Finding]:
    """Checks of the server, none of which loads a model.

    Args:
        configured: somebody said where ClickHouse is; otherwise nobody is asked for the index.
        declarations: instead of ClickHouse.
    """
    yield _told("server", lambda: _listener(settings))
    yield _told("artifacts", lambda: _artifacts(settings))
    if configured:
        known = declarations or DeclaredIndexes(settings)
        yield _told("served index", lambda: _index(settings.serving_index, known))


def _listener(settings: ServingSettings) -> Finding:
    require_safe(settings)
    certificate, key = settings.serving_tls_cert, settings.serving_tls_key
    if certificate:
        _require_pair(certificate, key)
    scheme = "https" if certificate else "http"
    host = f"[{settings.serving_host}]" if ":" in settings.serving_host else settings.serving_host
    keys = settings.serving_keys.get_secret_value().replace(",", " ").split()
    asked = f"{len(keys)} key(s)" if keys else "no key, on loopback alone"
    return ok("server", f"would answer at {scheme}://{host}:{settings.serving_port} with {asked}")


def _require_pair(certificate: str, key: str) -> None:
    try:
        # With any password a locked key is refused here, and nobody is asked for its own.
        ssl.create_default_context().load_cert_chain(certificate, key, password="-")  # noqa: S106
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{certificate!r} and {key!r} are no certificate with its unlocked key ({error}): put "
            "the PEM files there that belong together"
        ) from None


def _artifacts(settings: ServingSettings) -> Finding:
    store = artifacts_of(settings.artifacts, settings.model_dir)
    raw = store.current()
    promotions = orjson.loads(raw).get("promotions", []) if raw else []
    named = promotions[-1]["model_id"] if promotions else "nothing promoted: the base model serves"
    return ok("artifacts", f"{store.url} names {named}")


def _index(name: str, declarations: Declarations) -> Finding:
    shown = f"index {name!r}" if name else "the unnamed index"
    declared = declarations.fingerprint_of(name)
    if declared:
        return ok("served index", f"{shown} declares documents of {declared}")
    return warn(
        "served index",
        f"{shown} declares no document_fingerprint: nobody can see that a model fits it",
        "emit_index(…, document_fingerprint=…), and RAGWHEEL_SERVING_INDEX for its name",
    )


def _told(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except RagwheelError as error:
        return failed(subject, error)
