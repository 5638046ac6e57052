"""One file per command: options in, a call of operations, a view out."""
