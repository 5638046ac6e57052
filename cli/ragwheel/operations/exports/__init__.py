"""A snapshot in the formats of others, by Arrow: one file each."""
