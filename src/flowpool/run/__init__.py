"""Items in, records out: the only room that schedules."""
