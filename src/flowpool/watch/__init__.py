"""A run while it goes, for whoever watches: a page on loopback, and a full screen in the terminal."""
