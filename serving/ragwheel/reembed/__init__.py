"""To come: an index follows its model."""
