"""The product: rules, records, storage and LXD. It has no screen and no socket of its own."""
