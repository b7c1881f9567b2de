"""Free times: read them, keep them in the cache, refresh them by demand and invalidate them."""
