"""Everything of Textual that is changed or used although it is private."""
