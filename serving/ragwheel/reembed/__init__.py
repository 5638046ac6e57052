"""An index follows its model: planned, built in shards, verified, cut over, and taken back."""
