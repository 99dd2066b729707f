"""Where the bytes of a lake lie."""
