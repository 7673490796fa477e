"""Images: local ones, those of the image servers, and importing."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, Paged, outcome, paged
from openlxd_api.v1.schemas.base import Deleted, Pending, Waiting
from openlxd_api.v1.schemas.image import (
    ImageFlags,
    ImageInfoView,
    ImageView,
    ImportImage,
    OfferView,
    PublishImage,
    RemoteImages,
)
from openlxd_api.v1.schemas.lists import ImageQuery, RemoteQuery
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.i18n import N_

endpoints = Endpoints()


@endpoints.get("/images/list", lenient=True, summary="The images that are here")
async def list_images(core: Core, actor: Actor, query: ImageQuery) -> Paged[list[ImageView]]:
    """One page of local images, running imports and failed imports."""
    return await paged(await core.images.page(actor, query.wanted, query.part), ImageView.of)


@endpoints.get("/images/remote", lenient=True, summary="The images that the image servers offer")
async def remote_images(core: Core, actor: Actor, query: RemoteQuery) -> Paged[RemoteImages]:
    """One page, best match first. If a server fails, its last list is shown and ``stale`` is true."""
    await core.images.ready()
    page, total = core.images.offer_page(actor, query.wanted, query.part, query.offset)
    shown = await paged(page, OfferView.of)
    return Paged(_page(core, shown.data, total), shown.next)


def _page(core: Core, shown: list[OfferView], total: int) -> RemoteImages:
    state = core.images.catalogue_state()
    return RemoteImages(
        fetched_at=state.fetched_at, stale=state.stale, reason=state.reason, total=total, images=shown
    )  # fmt: skip


@endpoints.post("/images/import", lenient=True, status=201, summary="Import an image", raises=(409, 503))
async def import_image(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: ImportImage
) -> Answer[ImageView] | Pending:
    """Takes any name: ``ubuntu/22.04``, ``ubuntu/jammy``, ``ubuntu2204``. Joins a running import of the same image.

    The operation shows bytes, rate and time left; it can be cancelled.
    """
    operation = await core.images.import_image(actor, body.alias, body.architecture or None, body.variant or None)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    images = await core.images.overview(actor)
    return outcome(operation, next(ImageView.of(image) for image in images if image.alias == operation.target))


@endpoints.post("/images/publish", status=201, summary="Make a private image of a container", raises=(404, 409))
async def publish_image(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: PublishImage
) -> Answer[ImageView] | Pending:
    """Creates a private image from a stopped container, or from one of its snapshots."""
    operation = await core.images.publish(actor, body.container, body.alias, body.snapshot or None)
    alias = str(operation.args["alias"])
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    images = await core.images.overview(actor)
    return outcome(operation, next(ImageView.of(image) for image in images if image.alias == alias))


@endpoints.post(
    "/images/refresh",
    summary="Refresh the catalogue from the image servers",
    message=N_("The catalogue was refreshed from the image servers: {total} images."),
)
async def refresh_images(core: Core, actor: Actor) -> RemoteImages:
    """Answers when the refresh is done, with the number of images but without the list."""
    state = await core.images.refresh(actor)
    return _page(core, [], state.offers)


@endpoints.get("/images/{alias}/info", lenient=True, summary="One image: what is here, and what is offered")
async def show_image(core: Core, actor: Actor, alias: str) -> ImageInfoView:
    """Takes any name of the image; a slash may be sent raw or as %2F."""
    return await _info(core, actor, alias)


async def _info(core: Core, actor: Actor, alias: str) -> ImageInfoView:
    found = await core.images.info(actor, alias)
    return ImageInfoView.of(found.image, found.offer)


@endpoints.patch(
    "/images/{alias}",
    access=Access.ADMIN,
    summary="Hide an image from tenants, or pin it",
    message=N_("Image {alias} was changed."),
)
async def flag_image(core: Core, actor: Actor, alias: str, body: ImageFlags) -> ImageInfoView:
    """Hides or pins an image; admins only."""
    if body.hidden is not None:
        await core.images.hide(actor, alias, body.hidden)
    if body.pinned is not None:
        await core.images.pin(actor, alias, body.pinned)
    return await _info(core, actor, alias)


@endpoints.delete("/images/{alias}", lenient=True, summary="Drop an image that is here", raises=(409,))
async def delete_image(core: Core, actor: Actor, alias: str) -> Answer[Deleted]:
    """Containers created from it keep working. For admins, and for owners of private images."""
    dropped = await core.images.delete(actor, alias)
    used = N_("Image {name} was deleted. The containers created from it keep working.")
    return Answer(Deleted(name=dropped.alias), used if dropped.users else N_("Image {name} was deleted."))
