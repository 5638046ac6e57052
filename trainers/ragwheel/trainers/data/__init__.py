"""From rows to what may be learnt: reading, splitting, believing, examples, snapshots."""
