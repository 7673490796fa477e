"""The terminal front end: the Textual app, the SSH door that serves it, and the command line."""
