from typing import Any

from tortoise import migrations
from tortoise.migrations import operations as ops


async def free_names(_apps: Any, editor: Any) -> None:
    """Deleted accounts let go of their name and address, as domain.account.freed does. Safe to run again."""
    await editor.client.execute_query(
        "UPDATE users SET username = username || ' (deleted ' || id || ')',"
        " email = substr(email, 1, 230) || ' (deleted ' || id || ')', password_hash = ''"
        " WHERE status = 'deleted' AND username NOT LIKE '% (deleted %)'"
    )


class Migration(migrations.Migration):
    dependencies = [('models', '0007_system_key')]

    initial = False

    operations = [
        ops.RunPython(free_names),
    ]
