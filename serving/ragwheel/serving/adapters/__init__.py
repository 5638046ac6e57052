"""Other frameworks' embedding interfaces over a `QueryEncoder`; each module needs its framework."""
