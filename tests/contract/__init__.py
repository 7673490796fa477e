"""One suite for both adapters of the LXD port."""
