"""How a limiter does in every kind of world, beside loops that know nothing: the tables, in virtual time."""
