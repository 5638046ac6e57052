"""Is the candidate better? Pools, judgments, figures, and the gate that decides."""
