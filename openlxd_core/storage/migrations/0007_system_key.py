from typing import Any

from tortoise import migrations
from tortoise.migrations import operations as ops


async def bind_the_first_admin(_apps: Any, editor: Any) -> None:
    """The system API key of an installation that bound nobody acts as the oldest admin. Safe to run again."""
    await editor.client.execute_query(
        "INSERT INTO settings (key, value) SELECT 'system_key', '{\"user_id\":' || id || '}' FROM users"
        " WHERE role = 'admin' AND status <> 'deleted' AND NOT EXISTS"
        " (SELECT 1 FROM settings WHERE key = 'system_key') ORDER BY id LIMIT 1"
    )


class Migration(migrations.Migration):
    dependencies = [('models', '0006_list_indexes')]

    initial = False

    operations = [
        ops.RunPython(bind_the_first_admin),
    ]
