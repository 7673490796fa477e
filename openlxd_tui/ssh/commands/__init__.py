"""Commands given to ssh: ``ssh openlxd@HOST list --json``."""
