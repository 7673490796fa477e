"""The database: tables, migrations, transactions, backups."""
