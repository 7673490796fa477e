"""Images: what servers offer, what LXD holds, and the way from the one to the other."""
