"""Request and response types of /api/v1, kept apart from the core's records so that those can change."""
