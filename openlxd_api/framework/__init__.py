"""The base of every endpoint: typed handlers, strict bodies, OpenAPI, rate limits. It imports no route."""
