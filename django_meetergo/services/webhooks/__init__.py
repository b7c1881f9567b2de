"""Webhooks: register the endpoint, store deliveries, and re-read the appointments they name."""
