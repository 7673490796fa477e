"""Port forwards: what a tenant can ask for, and which ports of the host it may take."""
