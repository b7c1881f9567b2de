"""Optional integrations. Each one imports its own extra and nothing else in the app imports it."""
