from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from json import dumps, loads
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('models', '0001_initial')]

    initial = False

    operations = [
        ops.CreateModel(
            name='IdempotentAnswer',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user_id', fields.IntField()),
                ('key', fields.CharField(max_length=255)),
                ('request', fields.CharField(max_length=64)),
                ('worker', fields.CharField(max_length=36)),
                ('status', fields.IntField(null=True)),
                ('answer', fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(',', ':')), decoder=loads)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'idempotency', 'app': 'models', 'unique_together': (('user_id', 'key'),), 'pk_attr': 'id', 'table_description': 'The first answer to a request with an Idempotency-Key, for a day.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Sample',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('container', fields.ForeignKeyField('models.Container', source_field='container_id', db_constraint=True, to_field='id', related_name='samples', on_delete=OnDelete.CASCADE)),
                ('at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('cpu_percent', fields.FloatField(null=True)),
                ('memory_mb', fields.FloatField()),
                ('disk_mb', fields.FloatField()),
                ('processes', fields.IntField()),
                ('received', fields.BigIntField()),
                ('sent', fields.BigIntField()),
            ],
            options={'table': 'samples', 'app': 'models', 'indexes': [Index(fields=['container_id', 'at'])], 'pk_attr': 'id', 'table_description': 'What a container used at one moment, thinned with age.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Snapshot',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('container', fields.ForeignKeyField('models.Container', source_field='container_id', db_constraint=True, to_field='id', related_name='snapshots', on_delete=OnDelete.CASCADE)),
                ('name', fields.CharField(max_length=100)),
                ('ready', fields.BooleanField(default=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'snapshots', 'app': 'models', 'unique_together': (('container', 'name'),), 'pk_attr': 'id', 'table_description': 'A snapshot that LXD holds or is about to hold, written first so that the count cannot be passed.'},
            bases=['Model'],
        ),
    ]
