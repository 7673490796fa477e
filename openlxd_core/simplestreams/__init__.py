"""Image servers in the simplestreams format: their lists, what they offer, and downloads."""
