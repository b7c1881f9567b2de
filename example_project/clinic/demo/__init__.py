"""What ``manage.py demo`` does, by subject: the servers, the database, a visitor, and what is printed."""
