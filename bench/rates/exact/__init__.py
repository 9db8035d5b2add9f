"""Buckets and headers, exactly: how near a pool with nothing configured comes to each kind of limit."""
