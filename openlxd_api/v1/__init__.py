"""The endpoints, one module per noun; each handler calls one service."""
