from typing import Any

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from openlxd_core.domain.account import nobodys_api_key


async def give_everybody_one(_apps: Any, editor: Any) -> None:
    """An account without an API key gets one that nobody knows; those that had one were shown it."""
    await editor.client.execute_query("UPDATE users SET api_key_shown = 1 WHERE api_key IS NOT NULL")
    rows = (await editor.client.execute_query("SELECT id FROM users WHERE api_key IS NULL"))[1]
    for row in rows:
        sql = f"UPDATE users SET api_key = '{nobodys_api_key()}' WHERE id = {int(row['id'])}"  # noqa: S608 - hex, digits
        await editor.client.execute_query(sql)


class Migration(migrations.Migration):
    dependencies = [('models', '0010_container_suspension')]

    initial = False

    operations = [
        ops.AddField(
            model_name='User',
            name='api_key_shown',
            field=fields.BooleanField(db_default=False),
        ),
        ops.RunPython(give_everybody_one),
    ]
