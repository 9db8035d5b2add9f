"""Files that describe what is run, and the runs themselves, as plain data."""
