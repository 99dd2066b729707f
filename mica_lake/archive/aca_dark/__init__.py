"""Dark current of the aspect camera."""
