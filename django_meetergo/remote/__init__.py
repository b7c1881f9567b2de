"""The HTTP client of meetergo. Only this package imports ``requests`` and reads JSON from the service."""
