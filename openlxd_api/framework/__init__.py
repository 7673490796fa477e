"""What every endpoint stands on: typed handlers, strict bodies, documents, limits. It knows no route."""
