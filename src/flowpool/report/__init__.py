"""A run as one page: its figures, how its calls went, and every item. Reads stores and pools; runs nothing."""
