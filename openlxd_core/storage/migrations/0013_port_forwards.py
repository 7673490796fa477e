from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0012_idempotent_work')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Container',
            name='pinned_ipv4',
            field=fields.CharField(default='', db_default='', max_length=15),
        ),
        ops.AddField(
            model_name='Container',
            name='forward_limit',
            field=fields.IntField(null=True),
        ),
        ops.CreateModel(
            name='PortForward',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('container', fields.ForeignKeyField('models.Container', source_field='container_id', db_constraint=True, to_field='id', related_name='port_forwards', on_delete=OnDelete.CASCADE)),
                ('protocol', fields.CharField(max_length=10)),
                ('address', fields.CharField(max_length=45)),
                ('listen_first', fields.IntField()),
                ('listen_last', fields.IntField()),
                ('target_first', fields.IntField()),
                ('target_address', fields.CharField(default='', max_length=45)),
                ('description', fields.CharField(default='', max_length=100)),
                ('state', fields.CharField(max_length=20)),
                ('created_by', fields.CharField(default='', max_length=100)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'port_forwards', 'app': 'models', 'indexes': [Index(fields=['address', 'listen_first']), Index(fields=['container_id'])], 'pk_attr': 'id', 'table_description': 'Ports of the host that lead to a container, written before LXD is told so that no port is promised twice.'},
            bases=['Model'],
        ),
    ]
