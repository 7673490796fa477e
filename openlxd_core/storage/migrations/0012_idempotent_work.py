from tortoise import fields, migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0011_api_keys')]

    initial = False

    operations = [
        ops.AddField(
            model_name='IdempotentAnswer',
            name='made',
            field=fields.CharField(default='', db_default='', max_length=100),
        ),
    ]
