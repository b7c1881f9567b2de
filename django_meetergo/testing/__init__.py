"""The test kit for sites that use this app: a sandbox in the test process, factories and guards."""
