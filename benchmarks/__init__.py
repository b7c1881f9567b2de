"""Each figure beside its floor, in one run. Nothing in here is a test: machines are noisy, ratios less so."""
