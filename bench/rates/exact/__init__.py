"""How near a pool with nothing configured comes to each kind of limit: the table of cases, in virtual time."""
