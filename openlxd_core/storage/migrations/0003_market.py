from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from json import dumps, loads
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0002_snapshots_samples_idempotency')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Image',
            name='private',
            field=fields.BooleanField(db_default=False),
        ),
        ops.AddField(
            model_name='Image',
            name='product',
            field=fields.CharField(db_default='', max_length=200),
        ),
        ops.AddField(
            model_name='Image',
            name='serial',
            field=fields.CharField(db_default='', max_length=50),
        ),
        ops.AddField(
            model_name='Image',
            name='server',
            field=fields.CharField(db_default='', max_length=500),
        ),
        ops.AddField(
            model_name='Image',
            name='user_id',
            field=fields.IntField(null=True, db_index=True),
        ),
        ops.AddField(
            model_name='Operation',
            name='cancelled_by',
            field=fields.CharField(db_default='', max_length=100),
        ),
        ops.AddField(
            model_name='Operation',
            name='detail',
            field=fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(',', ':')), decoder=loads),
        ),
    ]
