"""The endpoints, one module a noun, each handler a sentence over one service."""
