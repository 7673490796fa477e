"""The account screen: password, SSH keys, API key."""
