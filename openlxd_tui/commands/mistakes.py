"""Mistakes in the words of a command, in one sentence and the caller's language.

cyclopts words its exceptions in English only; each kind that a caller can cause is worded here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import cyclopts

from openlxd_core.domain.text import clean
from openlxd_core.i18n import _
from openlxd_tui.commands.table import PROGRAM_PREFIX

WORD_MAX = 60


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that ``word`` was probably meant to be, or an empty string.

    Only the beginning of ``word`` is compared: the time that takes grows with the square of its length.
    """
    near = difflib.get_close_matches(word[:WORD_MAX], known, n=1, cutoff=0.6)
    return near[0] if near else ""


def unknown_command(word: str, known: Iterable[str], try_instead: str) -> str:
    """The sentence for a word that is no command; ``try_instead`` is what lists them."""
    near = nearest(word, known)
    if near:
        return _("There is no command “{name}”. Did you mean “{near}”?").format(name=clean(word, WORD_MAX), near=near)
    return _("There is no command “{name}”. Try: {help}").format(name=clean(word, WORD_MAX), help=try_instead)


def unknown_word(word: str, known: Iterable[str], try_instead: str) -> str:
    """The sentence for a word by SSH that is neither a command nor a container."""
    near = nearest(word, known)
    if near:
        return _("There is no command or container “{name}”. Did you mean “{near}”?").format(
            name=clean(word, WORD_MAX), near=near
        )
    return _("There is no command or container “{name}”. Try: {help}").format(
        name=clean(word, WORD_MAX), help=try_instead
    )


def mistake(error: cyclopts.CycloptsError) -> str:
    """What is wrong with the words of a command, in one sentence."""
    name = _name(error)
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens:
        known = [name for name in error.app or () if not name.startswith(("-", "_"))]
        return unknown_command(error.unused_tokens[0], known, _help(error))
    if isinstance(error, cyclopts.MissingArgumentError):
        return _("{name} is missing. Try: {help}").format(name=name, help=_help(error))
    if isinstance(error, cyclopts.CoercionError) and error.token is not None:
        choices = error.argument.get_choices() if error.argument is not None else None
        if choices:
            return _("“{value}” is not allowed for {name}. Choose from: {choices}").format(
                value=error.token.value, name=name, choices=", ".join(choices)
            )
        return _("“{value}” is not allowed for {name}. Try: {help}").format(
            value=error.token.value, name=name, help=_help(error)
        )
    token = getattr(error, "token", None)
    if isinstance(error, cyclopts.UnknownOptionError) and token is not None:
        option = token.keyword or token.value
        near = nearest(option, _options(error))
        if near:
            return _("There is no option “{name}”. Did you mean “{near}”?").format(name=option, near=near)
        return _("There is no option “{name}”. Try: {help}").format(name=option, help=_help(error))
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        return _("Unexpected argument “{name}”. Try: {help}").format(name=error.unused_tokens[0], help=_help(error))
    return " ".join(str(error).split())


def _name(error: cyclopts.CycloptsError) -> str:
    """The option as it was written, or the argument as the usage line calls it."""
    token = getattr(error, "token", None)
    keyword = getattr(error, "keyword", None) or (token.keyword if token is not None else None)
    if keyword:
        return str(keyword)
    argument = error.argument
    if argument is None:
        return ""
    return argument.name.lstrip("-").upper() if argument.index is not None else argument.name


def _help(error: cyclopts.CycloptsError) -> str:
    return " ".join([PROGRAM_PREFIX, *(error.command_chain or ()), "--help"])


def ssh_mistake(error: cyclopts.CycloptsError, verb: str, usage: str) -> str:
    """The same for who types ``ssh openlxd@HOST COMMAND``: most are answered with the usage line."""
    token = getattr(error, "token", None)
    if isinstance(error, cyclopts.UnknownOptionError) and token is not None:
        word = token.keyword or token.value
        near = nearest(word, _options(error))
        if near:
            return _("{name} does not accept {word}. Did you mean {near}?").format(
                name=verb, word=clean(word, WORD_MAX), near=near
            )
        return _("{name} does not accept {word}.").format(name=verb, word=clean(word, WORD_MAX))
    if isinstance(error, cyclopts.CoercionError) and error.argument is not None and error.argument.get_choices():
        return mistake(error)
    return _("Usage: {usage}").format(usage=usage)


def _options(error: cyclopts.UnknownOptionError) -> list[str]:
    return [name for argument in error.argument_collection if argument.parse for name in argument.names]
