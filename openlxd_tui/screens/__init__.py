"""The screens; the tree of files is what one sees."""
