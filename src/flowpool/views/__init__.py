"""What people see of a run while it goes on. Nothing imports these but the table in `wiring`."""
