from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0004_containers_by_owner')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Container',
            name='wanted_ipv4',
            field=fields.CharField(default='auto', db_default='auto', max_length=15),
        ),
        ops.AddField(
            model_name='Container',
            name='wanted_ipv6',
            field=fields.CharField(default='auto', db_default='auto', max_length=45),
        ),
    ]
