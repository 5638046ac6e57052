"""Ways to make a candidate out of a snapshot, one file each."""
