"""The promoted model, over HTTP and in process: checked before it serves, switched meanwhile."""

from ragwheel.serving.query_encoder import QueryEncoder

__all__ = ["QueryEncoder"]
