"""The SSH front door, met by real clients."""
