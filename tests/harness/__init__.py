"""Trials that are too long for every commit. One JSON line of figures a run, exit code 1 on any violation."""
