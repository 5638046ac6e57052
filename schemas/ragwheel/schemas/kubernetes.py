"""Variables that Kubernetes puts into every container of a namespace, one set for each Service.

A Service called `ragwheel-kafka` makes RAGWHEEL_KAFKA_SERVICE_HOST and a dozen more, in the workers
and in every pod that uses the client. Nobody wrote them, so they stop nothing
(https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
"""

from __future__ import annotations

import re

_OWN_NAMES = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK = re.compile(r"(tcp|udp|sctp)://\S+")


def is_injected(name: str, value: object) -> bool:
    """Whether Kubernetes made this variable.

    `<service>_PORT` is a name that a setting may have too (RAGWHEEL_METRICS_PORT, if there is a
    Service `ragwheel-metrics`); then the value tells: a link such as tcp://10.0.0.1:9100 is no
    port that anybody would set.
    """
    if _OWN_NAMES.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_LINK.fullmatch(str(value)))
