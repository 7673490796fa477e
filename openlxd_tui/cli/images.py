"""``openlxd image list``. Fetching images comes with the image market."""

from __future__ import annotations

from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import _
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import open_core, print_json, print_table


async def list_images(*, as_json: Json = False) -> None:
    """List the images that LXD holds."""
    async with open_core() as (core, actor):
        images = await core.images.list(actor)
    if as_json:
        print_json(
            [
                {
                    "alias": image.alias,
                    "fingerprint": image.fingerprint,
                    "distribution": image.distribution,
                    "release": image.release,
                    "architecture": image.architecture,
                    "variant": image.variant,
                    "description": image.description,
                    "size_bytes": image.size_bytes,
                    "status": image.status.value,
                    "imported_at": image.imported_at,
                }
                for image in images
            ]
        )
        return
    print_table(
        [_("Alias"), _("Fingerprint"), _("Architecture"), _("Size"), _("Description")],
        [[i.alias, i.fingerprint[:12], i.architecture, format_bytes(i.size_bytes), i.description] for i in images],
    )
