"""Vector stores that a re-embedding fills, one adapter each, behind `contracts.Index`."""
