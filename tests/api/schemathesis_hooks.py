"""What schemathesis loads beside the document: a token that is fresh for every request (signing out is one of them)."""

from __future__ import annotations

import json
import os
import re
import uuid
from typing import Any
from urllib.request import urlopen

import schemathesis

_KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """No good idempotency key comes twice: with another request it is refused, and no schema can say so."""
    if case.headers and re.fullmatch("[A-Za-z0-9_.:-]{1,255}", str(case.headers.get(_KEY, ""))):
        case.headers[_KEY] = uuid.uuid4().hex


@schemathesis.auth(refresh_interval=None)
class FreshToken:
    """Signs in as OPENLXD_TEST_USER."""

    def get(self, _case: Any, _context: Any) -> str:
        """A token."""
        where = f"{os.environ['OPENLXD_TEST_URL']}/test/token?user={os.environ['OPENLXD_TEST_USER']}"
        with urlopen(where) as answer:
            return str(json.load(answer)["token"])

    def set(self, case: Any, data: str, _context: Any) -> None:
        """Put it where it belongs."""
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
