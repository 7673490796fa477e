"""Pure records and rules: nothing here does input or output."""
