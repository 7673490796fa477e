"""Bring the catalogues in line with the wording in the source, and compile them: ``make messages``.

New sentences are added without a translation and named; those that nobody says any more are dropped. The head of
each catalogue stays as it was written.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("openlxd_core", "openlxd_tui", "openlxd_api")
WIDTH = 110


def said() -> set[str]:
    """Every sentence of the source: what stands in ``_("…")`` and ``N_("…")``."""
    found: set[str] = set()
    for package in PACKAGES:
        for _file, _line, message, _comments, _context in extract_from_dir(
            ROOT / package, keywords={"_": None, "N_": None}
        ):
            found.add(message if isinstance(message, str) else message[0])
    return found - {""}


def bring_in_line(path: Path) -> list[str]:
    """Rewrite one catalogue and compile it; the sentences that wait for a translation."""
    head = path.read_text("utf-8").split("\n\n", 1)[0]
    with path.open("rb") as stream:
        old = read_po(stream)
    new = Catalog(locale=path.parent.parent.name)
    for sentence in sorted(said()):
        message = old.get(sentence)
        new.add(sentence, message.string if message else "", flags=message.flags if message else ())
    body = io.BytesIO()
    write_po(body, new, width=WIDTH, sort_output=True, omit_header=True)
    path.write_text(head + "\n\n" + body.getvalue().decode("utf-8").strip() + "\n", "utf-8")
    with path.open("rb") as written:
        compiled = read_po(written)
    with path.with_suffix(".mo").open("wb") as stream:
        write_mo(stream, compiled)
    return [str(message.id) for message in new if message.id and not message.string]


def main(folder: Path) -> int:
    """All catalogues in ``folder``; 1 if something is left to translate."""
    waiting = 0
    for path in sorted(folder.glob("*/LC_MESSAGES/openlxd.po")):
        for sentence in bring_in_line(path):
            waiting += 1
            sys.stdout.write(f"{path.parent.parent.name}: {sentence}\n")
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "openlxd_core" / "locale"))
