"""The accounts, for admins."""
