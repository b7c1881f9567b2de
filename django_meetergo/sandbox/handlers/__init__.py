"""The handlers of the service's routes: each reads a call, uses the state and returns a response."""
