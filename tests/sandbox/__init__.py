"""Tests of the sandbox: it has to keep to the recorded contract."""
