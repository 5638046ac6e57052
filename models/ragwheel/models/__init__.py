"""What a model is: its folder, its identity, how it encodes, which one serves."""
