"""The machine that LXD runs on: finding LXD, setting it up, and saying what is wrong with it.

For the command line alone. The product itself speaks to LXD through its gateway.
"""
