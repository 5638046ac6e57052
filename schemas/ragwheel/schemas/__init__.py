"""The contracts of ragwheel: events, identities, topics, settings, tables, metrics."""
