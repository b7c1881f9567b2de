"""Embed the scheduling service meetergo in a Django site. Importing this package imports nothing else."""

__version__ = "0.1.0"
