"""Databases as earlier versions left them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tortoise import Tortoise
from tortoise.migrations.api import migrate

from openlxd_core.storage.database import tortoise_config

MOMENT = "2026-01-01 00:00:00+00:00"


async def database_of(version: str, file: Path) -> None:
    """Make ``file`` as the migrations up to ``version`` do."""
    file.parent.mkdir(parents=True, exist_ok=True)

    async def make() -> None:
        try:
            await migrate(config=tortoise_config(f"sqlite://{file}"), target=f"models.{version}")
        finally:
            await Tortoise.close_connections()

    await asyncio.create_task(make())


def add_old_user(file: Path, number: int, name: str, **columns: object) -> None:
    """A row of ``users`` and its quota, written as the first version did."""
    values: dict[str, object] = {
        "id": number, "username": name, "email": f"{name}@example.org", "password_hash": "x", "api_key": None,
        "role": "user", "status": "active", "suspended_reason": "", "token_version": 0, "created_at": MOMENT,
        "updated_at": MOMENT,
    }  # fmt: skip
    values |= columns
    marks = ", ".join("?" for _ in values)
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute(f"INSERT INTO users ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
        raw.execute(
            "INSERT INTO quotas (containers, cpu, memory_mb, disk_mb, snapshots, forwards, user_id)"
            " VALUES (3, 4, 4096, 40960, 10, 10, ?)",
            (number,),
        )
