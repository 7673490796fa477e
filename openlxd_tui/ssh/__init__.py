"""The SSH front door: who may come in, and what they find there."""
