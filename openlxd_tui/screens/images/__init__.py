"""The images screen: what image servers offer, and what is on this host."""
