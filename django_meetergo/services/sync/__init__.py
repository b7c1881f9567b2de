"""Bring the mirror up to date with meetergo's lists, and compare the two."""
