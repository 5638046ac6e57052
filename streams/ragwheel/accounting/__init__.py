"""Accounts: is anything lost between Kafka and ClickHouse?"""
