"""How the processes of one installation know of each other: locks, who is alive, who leads, what changed."""
