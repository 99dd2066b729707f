"""Dark current of the aspect camera: everything in `dark_cal`."""

from mica_lake.archive.aca_dark import dark_cal
from mica_lake.archive.aca_dark.dark_cal import *  # noqa: F403

__all__ = ["dark_cal", *dark_cal.__all__]
