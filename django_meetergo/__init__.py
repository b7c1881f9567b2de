"""Scheduling for any Django site, with meetergo. Importing this package imports nothing else."""

__version__ = "0.1.0"
