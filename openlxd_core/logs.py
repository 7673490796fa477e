"""Logs: one line per event on the real standard error, text for people and JSON for machines.

Textual replaces ``sys.stderr`` for the whole process while any session's app runs, so the stream is taken
once, here, when the module is imported. Everything the standard ``logging`` module says goes the same way.
Modules decide what to log; this module decides what must never be logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import IO, Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from openlxd_core.domain.text import clean
from openlxd_core.settings import Settings

_STDERR: IO[str] = sys.__stderr__ or sys.stderr

_SECRET = ("password", "passwd", "token", "secret", "authorization", "api_key", "apikey", "cookie", "otp")
_SECRET_EXACT = frozenset({"key", "private_key", "x-api-key", "x-api-hash", "credential", "credentials"})
MASK = "***"
_NOISY = {
    "asyncssh": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "urllib3": logging.ERROR,
    "tortoise": logging.WARNING,
}
_LINE_MAX = 4000


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values whose key names a secret by ``***``, at any depth."""
    return _masked(event)


def _masked(values: MutableMapping[str, Any]) -> dict[str, Any]:
    return {name: MASK if _is_secret(str(name)) else _inside(value) for name, value in values.items()}


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _masked(dict(value))
    if isinstance(value, list | tuple):
        return [_inside(item) for item in value]
    return value


def _is_secret(name: str) -> bool:
    lowered = name.lower()
    return lowered in _SECRET_EXACT or any(word in lowered for word in _SECRET)


def clean_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make every text safe for the terminal that shows it; tracebacks keep their lines."""
    return {
        name: value if name == "exception" or not isinstance(value, str) else clean(value, _LINE_MAX)
        for name, value in event.items()
    }


def _plain_traceback(text: str) -> str:
    return "\n".join(clean(line, _LINE_MAX) for line in text.split("\n"))


def clean_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The traceback's lines, each made safe (an exception's text may hold what a stranger sent)."""
    if isinstance(event.get("exception"), str):
        event["exception"] = _plain_traceback(event["exception"])
    return event


def configure(settings: Settings, component: str) -> None:
    """Send every log line of this process to the real standard error.

    ``component`` (``ssh``, ``api``, ``cli``) is on each line. Text on a terminal, JSON otherwise, unless the
    ``log`` setting says which. Calling it again replaces what was configured before.
    """
    as_text = settings.log == "text" or (settings.log == "auto" and _STDERR.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if as_text else "iso", utc=not as_text),
        _named(component),
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Plain tracebacks: rich ones would print local variables, and those hold passwords.
        structlog.processors.format_exc_info,
        mask_secrets,
        clean_values,
        clean_exception,
        _text_renderer(_STDERR.isatty()) if as_text else structlog.processors.JSONRenderer(ensure_ascii=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_STDERR)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name, level in _NOISY.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


def _named(component: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("component", component)
        return event

    return add


def _text_renderer(terminal: bool) -> Processor:
    import os

    return structlog.dev.ConsoleRenderer(
        colors=terminal and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
