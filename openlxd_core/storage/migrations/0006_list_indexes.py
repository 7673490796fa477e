from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('models', '0005_wanted_addresses')]

    initial = False

    operations = [
        ops.AddIndex(model_name='Operation', index=Index(fields=['user_id', 'created_at'])),
        ops.AddIndex(model_name='Operation', index=Index(fields=['target'])),
        ops.AddIndex(model_name='AuditEntry', index=Index(fields=['actor'])),
        ops.AddIndex(model_name='AuditEntry', index=Index(fields=['action'])),
        ops.AddIndex(model_name='AuditEntry', index=Index(fields=['target'])),
        ops.AddIndex(model_name='AuditEntry', index=Index(fields=['at'])),
    ]
