"""Dashboards, rules and scrape configuration, as package data, and the code that makes them."""
