"""What the tests stand on: an LXD of their own, and images small enough to boot in a blink."""
