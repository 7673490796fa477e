"""The pieces that screens are made of; each is what one sees."""
