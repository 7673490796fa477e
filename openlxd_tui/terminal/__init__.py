"""What lies between an app and a terminal, whichever door the terminal comes through."""
