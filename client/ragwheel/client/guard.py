"""The edge between a service and us: our trouble never becomes theirs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from ragwheel.schemas.topics import TopicName


class Refuses(Protocol):
    """Who counts and logs what went wrong."""

    @property
    def refuse(self) -> Callable[[TopicName, Exception], None]:
        """Told of an event, or a call, that could not be used."""


class Guarded(Protocol):
    """Whose methods can be guarded."""

    @property
    def _emitter(self) -> Refuses: ...


_S = TypeVar("_S", bound=Guarded)
_P = ParamSpec("_P")
_R = TypeVar("_R")


class never_raises(Generic[_R]):
    """Make a method count what goes wrong in it instead of raising, wrong arguments included.

    Args:
        topic: where the event would have gone; the failure is counted as its `invalid`.
        otherwise: makes the return value then, from the object whose method it is.
    """

    def __init__(self, topic: TopicName, otherwise: Callable[[Any], _R]) -> None:
        self._topic = topic
        self._otherwise = otherwise

    def __call__(
        self, method: Callable[Concatenate[_S, _P], _R]
    ) -> Callable[Concatenate[_S, _P], _R]:
        topic, otherwise = self._topic, self._otherwise

        @wraps(method)
        def guarded(owner: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
            try:
                return method(owner, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the edge: counted and logged by `refuse`
                with contextlib.suppress(Exception):
                    owner._emitter.refuse(topic, error)
                return otherwise(owner)

        return guarded


def calling_line() -> str:
    """`file:line` of the service's code that called us, for a log line that can be acted on."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if not frame.f_globals.get("__name__", "").startswith("ragwheel.client"):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
