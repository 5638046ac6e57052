"""The only doors to the world: Kafka, ClickHouse, /metrics, files, a process and its end."""
