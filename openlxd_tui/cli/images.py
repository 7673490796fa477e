"""``openlxd image …``: the images that are here, those that are offered, and the way from the one to the other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.errors import Conflict
from openlxd_core.domain.operation import STAGES, Operation, OperationStatus
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import confirm, open_core, options, print_json, print_table, say
from openlxd_tui.cli.users import Yes

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor


async def list_images(*, as_json: Json = False) -> None:
    """List the images on this host."""
    async with open_core() as (core, actor):
        images = await core.images.list(actor)
    if as_json:
        print_json([shapes.image(image) for image in images])
        return
    print_table(
        [_("Alias"), _("Fingerprint"), _("Architecture"), _("Size"), _("Description")],
        [[i.alias, i.fingerprint[:12], i.architecture, format_bytes(i.size_bytes), i.description] for i in images],
    )


async def remote(
    *text: Annotated[str, Parameter(help=N_("Words to search for, such as ubuntu 22 cloud."))], as_json: Json = False
) -> None:
    """List the images that the image servers offer."""
    async with open_core() as (core, actor):
        await core.images.ready()
        offers = [offer for offer in core.images.offers(actor, " ".join(text)) if offer.published]
        state = core.images.catalogue_state()
    if state.stale:
        say(_("The list may be out of date: {reason}").format(reason=state.reason))
    if as_json:
        print_json([shapes.offer(offer) for offer in offers])
        return
    rows = [
        [
            offer.alias,
            offer.architecture,
            format_bytes(offer.size_bytes),
            offer.built_at.date().isoformat() if offer.built_at else "",
            offer.end_of_life.isoformat() if offer.end_of_life else "",
            _("yes") if offer.held else "",
        ]
        for offer in offers
    ]
    print_table([_("Alias"), _("Architecture"), _("Size"), _("Built"), _("End of life"), _("Here")], rows)


async def import_image(
    alias: Annotated[
        str, Parameter(help=N_("Any name of the image, such as ubuntu/22.04, ubuntu/jammy or ubuntu2204."))
    ],
    *,
    architecture: Annotated[
        str | None, Parameter(help=N_("Another architecture than this host's, such as arm64."), metavar="NAME")
    ] = None,
    variant: Annotated[
        str | None, Parameter(help=N_("Another variant than the default, such as cloud."), metavar="NAME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import an image and wait until it is done."""
    async with open_core() as (core, actor):
        operation = await core.images.import_image(actor, alias, architecture, variant)
        ended = await _follow(core, actor, operation)
        if ended.status is not OperationStatus.DONE:
            message = ended.error
            raise Conflict(message.template, **dict(message.params)) if message else Conflict(N_("It was cancelled."))
        image = next(i for i in await core.images.overview(actor) if i.alias == ended.target)
    if as_json:
        print_json(shapes.image(image))
    else:
        say(_("Image {alias} was imported.").format(alias=image.alias))


async def _follow(core: Core, actor: Actor, operation: Operation) -> Operation:
    """Wait for the end, with a line that moves where somebody watches."""
    watched = sys.stderr.isatty() and not options.quiet
    while not operation.ended:
        operation = await core.operations.wait(actor, operation.id, 0.5 if watched else 60)
        if watched:
            rate = operation.detail.get("rate")
            speed = f" {format_bytes(rate)}/s" if rate else ""
            sys.stderr.write(f"\r\x1b[K{_(STAGES[operation.stage])} {operation.progress} %{speed}")
            sys.stderr.flush()
    if watched:
        sys.stderr.write("\r\x1b[K")
    return operation


async def delete(
    alias: Annotated[str, Parameter(help=N_("Name of the image."))], *, yes: Yes = False, as_json: Json = False
) -> None:
    """Delete an image. Containers created from it keep working."""
    async with open_core() as (core, actor):
        confirm(_("Delete the image {alias}?").format(alias=alias), yes)
        image = await core.images.delete(actor, alias)
    if as_json:
        print_json(shapes.image(image))
        return
    say(_("Image {alias} was deleted.").format(alias=image.alias))
    if image.users:
        say(_("The containers created from it keep working: {names}").format(names=", ".join(image.users)))
