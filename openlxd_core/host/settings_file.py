"""Change one setting in the TOML settings file and leave the rest of it as it is."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path

from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.i18n import N_

_NEW_MODE = 0o644
"""Of a file that is made here: it holds no secret, and the services' account has to read it."""


def set_value(path: Path, name: str, value: str) -> None:
    """Write ``name = "value"``; the file is replaced at once, so a crash leaves the old or the new one.

    Raises ConfigurationError where the file is not TOML, OSError where it cannot be written.
    """
    path = path.resolve()  # a link stays one
    try:
        before = path.read_text("utf-8")
        kept = path.stat()
    except FileNotFoundError:
        before, kept = "", None
    text = _with_value(before, name, value)
    try:
        held = tomllib.loads(text).get(name)
    except tomllib.TOMLDecodeError as error:
        held = None
        reason = str(error)
    else:
        reason = f"{name} is not a plain value"
    if held != value:
        raise ConfigurationError(
            N_("The settings file {path} cannot be read: {reason}."), path=str(path), reason=reason
        )
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), kept.st_mode & 0o777 if kept else _NEW_MODE)
            if kept and os.geteuid() == 0:
                os.fchown(stream.fileno(), kept.st_uid, kept.st_gid)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _with_value(text: str, name: str, value: str) -> str:
    """``text`` with the line of ``name`` replaced, or with one more line before the first table."""
    line = f'{name} = "{value}"'
    own = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
    if own.search(text):
        return own.sub(line, text, count=1)
    table = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    before, after = (text[: table.start()], text[table.start() :]) if table else (text, "")
    if before and not before.endswith("\n"):
        before += "\n"
    return f"{before}{line}\n{after}"
