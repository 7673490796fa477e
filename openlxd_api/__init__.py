"""The HTTP front end: thin routes over the core's services."""
