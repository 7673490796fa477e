"""The containers screen: its page, actions, columns, details and forms; snapshots and unmanaged instances."""
