"""What can be done with the image under the cursor: make a container from it, import it, drop it, pin it, hide it.

What is offered follows from the image; whether it is allowed, the services say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.image import Image, ImageStatus, Offer
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.reasons import ADMINS_ONLY
from openlxd_tui.screens.confirm import TypeToConfirm
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.images.columns import Progress
from openlxd_tui.screens.page import Page

NAMED_MOST = 8
"""How many containers a question names before it only counts the rest."""


class ImageActions(Page):
    """The actions of the images screen, which brings the tables."""

    ROW_ACTIONS = frozenset({"use", "import", "give_up", "delete", "pin", "unpin", "hide", "unhide"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,n", "use", N_("New container")),
        Binding("i", "import", N_("Import")),
        Binding("x", "give_up", N_("Cancel the import")),
        Binding("d", "delete", N_("Delete")),
        Binding("p", "pin", N_("Pin")),
        Binding("p", "unpin", N_("Unpin")),
        Binding("h", "hide", N_("Hide from tenants")),
        Binding("h", "unhide", N_("Show to tenants")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._progress: dict[str, Progress] = {}
        self._mine: dict[str, str] = {}
        self._cancellable: set[str] = set()

    @property
    def offer(self) -> Offer | None:
        """What is offered under the name that the cursor stands on."""
        raise NotImplementedError

    @property
    def image(self) -> Image | None:
        """What is here under that name."""
        raise NotImplementedError

    @property
    def alias(self) -> str:
        """That name, or an empty string."""
        about = self.offer or self.image
        return about.alias if about is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the image under the cursor is offered."""
        if action not in ("use", "import", "give_up", "delete", "pin", "unpin", "hide", "unhide"):
            return True
        offer, image = (self.offer, self.image) if self.is_mounted else (None, None)
        if offer is None and image is None:
            return False
        return self._makes_sense(action, offer, image)

    def _makes_sense(self, action: str, offer: Offer | None, image: Image | None) -> bool:
        actor = self.session.actor
        progress = self._progress.get(self.alias)
        match action:
            case "use":
                return (offer is not None and offer.available) or (image is not None and bool(image.fingerprint))
            case "import":
                return progress is None and offer is not None and offer.available and not offer.current
            case "give_up":
                return progress is not None and (actor.is_admin or progress.operation_id in self._cancellable)
            case "delete":
                own = image is not None and image.private and image.user_id == actor.user_id
                idle = image is not None and image.status is not ImageStatus.DOWNLOADING
                return progress is None and idle and (actor.is_admin or own)
            case "pin" | "unpin":
                pinned = offer.pinned if offer is not None else image is not None and image.pinned
                return actor.is_admin and pinned == (action == "unpin")
            case _:
                return actor.is_admin and offer is not None and offer.hidden == (action == "unhide")

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Why nothing can be done with the image under the cursor, or not this."""
        offer, image, progress = self.offer, self.image, self._progress.get(self.alias)
        admin = self.session.actor.is_admin
        name = {"alias": clean(self.alias, 100)}
        if action in ("pin", "unpin", "hide", "unhide") and not admin:
            return ADMINS_ONLY
        if offer is None and image is None:
            return Message(N_("There is no image under the cursor."))
        if action == "give_up":
            if progress is None:
                return Message(N_("No import of {alias} is in progress."), name)
            return Message(
                N_("{alias} is being imported by another user. Only that user or an admin can cancel it."), name
            )
        if progress is not None:
            return Message(N_("{alias} is being imported. Wait until that is done, or press x to cancel it."), name)
        if action in ("use", "import") and offer is not None and not offer.native:
            values = name | {"architecture": clean(offer.architecture, 20)}
            return Message(N_("{alias} is built for {architecture}. This host cannot run it."), values)
        if action in ("use", "import") and (offer is None or not offer.published):
            return Message(N_("No image server offers {alias} any more."), name)
        if action == "import":
            return Message(N_("{alias} is already on this host, in its newest build."), name)
        if action == "delete":
            here = image is not None and image.status is not ImageStatus.DOWNLOADING
            template = N_("Only admins can delete images of other users.") if here else N_(
                "{alias} is not on this host.")  # fmt: skip
            return Message(template, name)
        return Message(N_("Images that no server offers cannot be hidden."), name)

    @work(group="act")
    async def _import(self, alias: str) -> None:
        try:
            operation = await self.session.core.images.import_image(self.session.actor, alias)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        self.follow(operation)

    def follow(self, operation: Operation) -> None:
        """Show an import that this session asked for, and say how it ends."""
        self._mine[operation.target] = operation.id
        self._cancellable.add(operation.id)
        if not operation.ended:
            self._progress.setdefault(operation.target, Progress.of(operation))
        self.expect(operation.target)
        self.read_again()

    def expect(self, alias: str) -> None:
        """Put the cursor on an image that is on its way."""
        raise NotImplementedError

    def read_again(self) -> None:
        """Read everything anew, soon."""
        raise NotImplementedError

    def action_import(self) -> None:
        """Bring it here, or its newer build."""
        if self.offer is not None:
            self._import(self.offer.alias)

    @work(group="act")
    async def action_give_up(self) -> None:
        """Cancel its import."""
        progress = self._progress.get(self.alias)
        if progress is None:
            return
        try:
            await self.session.core.operations.cancel(self.session.actor, progress.operation_id)
        except OpenLXDError as error:
            self.session.say_error(error)
        else:
            self.session.notify(_(N_("The import is being cancelled.")))
        self.read_again()

    @work(group="ask")
    async def action_use(self) -> None:
        """Make a container from it; one that is not here yet is imported first."""
        offer, image = self.offer, self.image
        alias = self.alias
        try:
            images = await self.session.core.images.list(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        held = any(known.alias == alias for known in images)
        offers = [offer] if offer is not None and not held else []
        form = CreateForm(images, offers, chosen=alias if held or offers else image.alias if image else "")
        operation = await self.app.push_screen_wait(form)
        if operation is not None:
            self.session.begun(operation)

    @work(group="ask")
    async def action_delete(self) -> None:
        """Drop it from this host, after its name was typed."""
        image = self.image
        if image is None:
            return
        if image.users:
            names = [clean(name, 63) for name in image.users[:NAMED_MOST]]
            names += ["…"] if len(image.users) > NAMED_MOST else []
            explanation = _(N_("Containers created from it: {names}. They keep working.")).format(
                names=", ".join(names)
            )
        elif image.private:
            explanation = _(N_("There is no other copy. It cannot be recovered."))
        else:
            explanation = _(N_("It can be imported again for as long as an image server offers it."))
        alias = image.alias
        sure = await self.app.push_screen_wait(
            TypeToConfirm(
                _(N_("Delete the image {alias}?")).format(alias=clean(alias, 100)), explanation, clean(alias, 100)
            )
        )
        if sure:
            gone = N_("Image {alias} was deleted from this host.")
            self._change(gone, alias, lambda: self.session.core.images.delete(self.session.actor, alias))

    @work(group="act")
    async def _change(self, done: str, alias: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except OpenLXDError as error:
            self.session.say_error(error)
        else:
            self.session.notify(_(done).format(alias=clean(alias, 100)))
        self.read_again()

    def _flag(self, done: str, call: Callable[..., Awaitable[object]], flag: bool) -> None:
        alias, actor = self.alias, self.session.actor
        self._change(done, alias, lambda: call(actor, alias, flag))

    def action_pin(self) -> None:
        """Show it first, and leave the build that is here alone."""
        self._flag(N_("Image {alias} was pinned."), self.session.core.images.pin, True)

    def action_unpin(self) -> None:
        """Remove the pin."""
        self._flag(N_("Image {alias} was unpinned."), self.session.core.images.pin, False)

    def action_hide(self) -> None:
        """Keep it from tenants."""
        self._flag(N_("Image {alias} is now hidden from tenants."), self.session.core.images.hide, True)

    def action_unhide(self) -> None:
        """Offer it to tenants again."""
        self._flag(N_("Image {alias} is now shown to tenants."), self.session.core.images.hide, False)
