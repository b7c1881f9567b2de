"""The views behind the URLs of the package."""
