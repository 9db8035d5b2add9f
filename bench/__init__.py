"""Benchmarks: each prints what it measured and the ratio to its bound or baseline in the same run."""
