"""An index follows its model: a state machine whose truth is in ClickHouse."""
