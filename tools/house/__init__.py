"""Measures the house: the figures that say how hard it is for a stranger to find the way in. See `__main__`."""
