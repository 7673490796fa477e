"""LXD behind one port, in our words: the real gateway, the streams and a simulated one."""
