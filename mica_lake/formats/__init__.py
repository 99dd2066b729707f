"""How the bytes of source files are read."""
