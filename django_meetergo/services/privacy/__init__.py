"""Privacy: erase people, delete old data, and rotate encryption keys. Every run may be interrupted."""
