"""The promoted model, over HTTP and in process: checked before it serves, switched meanwhile."""
