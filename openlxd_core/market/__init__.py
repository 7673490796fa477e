"""The image market: catalogues of simplestreams servers."""
