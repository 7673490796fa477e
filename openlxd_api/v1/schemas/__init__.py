"""What goes in and out of /api/v1, as types: the promise, apart from the core's records."""
