"""The parts of ``manage.py demo``: servers, database, a scripted visitor, comparison and output."""
