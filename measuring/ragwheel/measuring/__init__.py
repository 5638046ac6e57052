"""Measures of rankings and their uncertainty, each with its source. Needs numpy alone."""
