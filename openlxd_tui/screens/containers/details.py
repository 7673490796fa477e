"""All there is to know about the container under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from openlxd_core.domain.container import Container, State, Usage
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes, format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, address, age, bar, load_role, moment, sentence, stage_word, state_cell
from openlxd_tui.session import session_of
from openlxd_tui.widgets.pane import Fact, Pane


class Details(Pane):
    """The pane beside or beneath the table; it repaints only when what it says differs."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._container: Container | None = None
        self._usage: Usage | None = None
        self._operation: Operation | None = None
        self._age = ""

    def tell(self, container: Container | None, usage: Usage | None, operation: Operation | None) -> None:
        """Show this container."""
        told = (container, usage, operation)
        if told == (self._container, self._usage, self._operation):
            return
        before = self._container
        self._container, self._usage, self._operation = told
        if before is None or container is None or before.name != container.name:
            self.start_over()
        else:
            self.say()

    def touch(self) -> None:
        """Look whether time alone changed what is said."""
        if self._container is not None and age(self._container.created_at) != self._age:
            self.say()

    def head(self) -> Sequence[Cell]:
        """Name, state, what runs, what went wrong."""
        container = self._container
        if container is None:
            return ()
        lines: list[Cell] = [((clean(container.name, 63), "accent"),), state_cell(container)]
        if container.suspended:
            lines += self._suspension(container)
        lines.append(())
        if self._operation is not None:
            full, empty = bar(self._operation.progress / 100, 14)
            lines.append(((stage_word(self._operation), "busy"),))
            lines.append(((full, "busy"), (empty, "faint"), (f" {self._operation.progress}%", "quiet")))
            lines.append(())
        if container.error is not None:
            lines.append(((sentence(container.error), "bad"),))
            if container.status is State.ERROR:
                lines.append(((_(N_("Press t to try again or d to delete it.")), "quiet"),))
            lines.append(())
        return lines

    def _suspension(self, container: Container) -> list[Cell]:
        """The reason, and for admins who and when."""
        lines: list[Cell] = []
        if container.suspended_reason:
            lines.append(((clean(container.suspended_reason, 500), "warn"),))
        if session_of(self).actor.is_admin and container.suspended_at is not None:
            who = clean(container.suspended_by, 100)
            told = _(N_("by {name}, {date}")).format(name=who, date=moment(container.suspended_at))
            lines.append(((told, "quiet"),))
        return lines

    def facts(self) -> Sequence[Fact]:
        """Whose it is, where, what it uses, what it was made from and when."""
        return self._facts(self._container) if self._container is not None else ()

    def _facts(self, container: Container) -> list[Fact]:
        usage = self._usage
        facts: list[Fact] = []
        if session_of(self).actor.is_admin:
            facts.append((N_("Owner"), ((clean(container.owner, 32) or "–", "text"),)))
        facts += [(N_("IPv4"), address(container.ipv4)), (N_("IPv6"), address(container.ipv6))]
        cores: Cell = ((str(container.cpu), "text"),)
        if usage is not None and usage.cpu_percent is not None:
            cores = (*cores, (f"  {usage.cpu_percent:.1f}%", "text"))
        facts.append((N_("CPU"), cores))
        facts.append((N_("Memory"), self._used(usage.memory_mib if usage else None, container.memory_mib)))
        facts.append((N_("Disk"), self._used(usage.disk_mib if usage else None, container.disk_mib)))
        if usage is not None:
            facts.append(
                (
                    N_("Network"),
                    (
                        ("↓ ", "quiet"), (format_bytes(usage.received_bytes), "text"),
                        ("  ↑ ", "quiet"), (format_bytes(usage.sent_bytes), "text"),
                    ),
                )
            )  # fmt: skip
            facts.append((N_("Processes"), ((str(usage.processes), "text"),)))
        facts.append((N_("Image"), ((clean(container.image, 100), "text"),)))
        facts.append((N_("Created"), ((moment(container.created_at), "text"),)))
        self._age = age(container.created_at)
        facts.append((N_("Age"), ((self._age, "text"),)))
        return facts

    @staticmethod
    def _used(used: float | None, limit: int) -> Cell:
        if not used:
            return ((format_mib(limit), "text"),)
        share = used / limit if limit else 0.0
        full, empty = bar(share, 6)
        return (
            (format_mib(used), "text"),
            (f" / {format_mib(limit)} ", "quiet"),
            (full, load_role(share)),
            (empty, "faint"),
        )
