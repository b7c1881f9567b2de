"""What a site needs to test its use of this app: a sandbox in the test process, factories and guards."""
