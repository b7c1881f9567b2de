"""What the API sends and accepts, field by field. A value that is not named here never leaves the site."""
