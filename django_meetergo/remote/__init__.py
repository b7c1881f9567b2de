"""The only room with a telephone: JSON over HTTPS goes no further than this package."""
