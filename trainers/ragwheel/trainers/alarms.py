"""Alerts that ask for a training: read from Prometheus, where whoever is on call writes rules."""

from __future__ import annotations

import logging
import urllib.request

import orjson

_LOG = logging.getLogger(__name__)

#: The label of a rule that asks for a training, and its value.
LABEL, VALUE = "ragwheel", "train"
_TIMEOUT_S = 5.0
#: More is no answer of Prometheus that anybody would want to read.
_LARGEST_BYTES = 4 << 20


def asking_alert(answer: bytes) -> str:
    """The name of an alert that fires and asks for a training; empty: none does.

    Args:
        answer: of Prometheus' `/api/v1/alerts`.

    Raises:
        ValueError: it is none.
    """
    try:
        alerts = orjson.loads(answer)["data"]["alerts"]
        names = sorted(
            each["labels"]["alertname"]
            for each in alerts
            if each["state"] == "firing" and each["labels"].get(LABEL) == VALUE
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error!r} in {answer[:100]!r}") from None
    return str(names[0]) if names else ""


def firing_alert(url: str) -> str:
    """Ask the Prometheus at `url`. One that does not answer asks for nothing, and that is logged:
    trainings go by labels and the clock all the same.
    """
    try:
        with urllib.request.urlopen(  # noqa: S310 - the setting allows http and https alone
            f"{url.rstrip('/')}/api/v1/alerts", timeout=_TIMEOUT_S
        ) as answer:
            return asking_alert(answer.read(_LARGEST_BYTES))
    except (OSError, ValueError) as error:
        _LOG.warning("no alert can train: %s (RAGWHEEL_TRAIN_ALERTS_URL): %s", url, error)
        return ""
