"""The product's version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def product_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("openlxd")
    except PackageNotFoundError:
        return "0"
