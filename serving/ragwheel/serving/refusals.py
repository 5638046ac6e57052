"""What a caller is told when there is no answer. Each API writes it in its own shape."""

from __future__ import annotations


class Refusal(Exception):
    """An answer that is none; the message names the value and the fix.

    Attributes:
        status: of HTTP.
        param: field of the request that is meant; empty: none in particular.
        code: one word for programs, the same for all APIs.
        retry_after_s: when to ask again; 0: asking again does not help.
    """

    def __init__(
        self, status: int, message: str, *, param: str = "", code: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


def wrong(param: str, message: str) -> Refusal:
    """400: a field of the request is wrong."""
    return Refusal(400, f"{param}: {message}", param=param, code="invalid_request")


def too_large(param: str, message: str) -> Refusal:
    """413: more than this server takes."""
    return Refusal(413, f"{param}: {message}" if param else message, param=param, code="too_large")
