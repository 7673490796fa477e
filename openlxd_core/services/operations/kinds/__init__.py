"""A handler for each kind of operation: its steps, what undoes them, and what its end writes."""
