"""Languages, and the translation of messages.

Wording is written in English in the source and looked up in ``locale/<language>/LC_MESSAGES/openlxd.mo``.
Many people of different languages share one process, so there is no global "current language": a session
sets a :class:`Translator` of its own in a context variable, which every task it starts inherits.
"""

from __future__ import annotations

import gettext as _gettext
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
LOCALE_DIR = Path(__file__).with_name("locale")


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    """Mark ``text`` for the catalogue; it is translated where it is shown."""
    return text


@cache
def _catalogue(language: str) -> _gettext.NullTranslations:
    return _gettext.translation("openlxd", LOCALE_DIR, [language], fallback=True)


def closest_language(wish: str | None) -> str:
    """The supported language nearest to ``wish``, which may be ``zh_CN.UTF-8``, ``zh-Hans`` or an Accept-Language
    list."""
    for part in (wish or "").split(","):
        tag = part.split(";")[0].strip().lower()
        if tag[:2] in LANGUAGES:
            return tag[:2]
    return "en"


class Translator:
    """The language of one session; it can change while the session lives."""

    def __init__(self, language: str = "en") -> None:
        self.language = closest_language(language)

    def use(self, language: str) -> None:
        """Translate into ``language`` from now on."""
        self.language = closest_language(language)

    def __call__(self, text: str) -> str:
        return _catalogue(self.language).gettext(text) if text else text


_current: ContextVar[Translator | None] = ContextVar("openlxd_translator", default=None)
_ENGLISH = Translator("en")


def set_translator(translator: Translator) -> None:
    """Set the translator of this task and of every task that it starts from now on."""
    _current.set(translator)


def translator() -> Translator:
    """The translator of the session that this task belongs to; English where none was set."""
    return _current.get() or _ENGLISH


def _(text: str) -> str:
    """``text`` in the language of the session that this task belongs to."""
    return translator()(text)
