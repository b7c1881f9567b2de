"""Benchmarks. Each compares a figure with its floor in one run, since ratios vary less between machines."""
