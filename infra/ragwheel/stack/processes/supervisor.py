"""Several services as one: started in order, stopped in reverse, Ctrl-C safe."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol, Self


class Service(Protocol):
    """What a `Supervisor` can hold: a ManagedProcess, or one that comes back."""

    def start(self) -> None:
        """Starts it and waits until it is ready."""

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Ends it; idempotent."""

    def check(self) -> None:
        """Raises ProcessFailedError if it has ended by itself."""


class Supervisor:
    """Holds services; leaving the `with` block stops them in reverse order.

    While it stops them, Ctrl-C (when left on the main thread) no longer raises: it ends the grace
    periods, so impatience kills children instead of orphaning them.
    """

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._interrupted = False

    def start(self, service: Service) -> None:
        """Starts a service and takes responsibility for its end, also when the start fails."""
        self._services.append(service)
        service.start()

    def check(self) -> None:
        """Raises ProcessFailedError naming the first service that ended by itself."""
        for service in self._services:
            service.check()

    def stop(self) -> None:
        """Stops everything in reverse order. Idempotent."""
        with self._interrupts_hurry():
            while self._services:
                self._services[-1].stop(hurry=lambda: self._interrupted)
                self._services.pop()

    @contextlib.contextmanager
    def _interrupts_hurry(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(_number: int, _frame: FrameType | None) -> None:
            self._interrupted = True

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # None: installed outside Python, cannot be put back
                    signal.signal(number, handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
