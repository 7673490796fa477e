from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0009_preferences')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Container',
            name='suspended_reason',
            field=fields.CharField(default='', db_default='', max_length=500),
        ),
        ops.AddField(
            model_name='Container',
            name='suspended_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Container',
            name='suspended_power',
            field=fields.CharField(default='', db_default='', max_length=20),
        ),
    ]
