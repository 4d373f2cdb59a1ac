"""A simulated zone: what its sensors would say, for demonstrations, tests and rehearsals. Never a measurement."""
