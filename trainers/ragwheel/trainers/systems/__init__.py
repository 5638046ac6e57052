"""Whatever can rank: what production returned, encoders, BM25; all behind one protocol."""
