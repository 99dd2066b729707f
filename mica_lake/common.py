"""What the modules of ``mica`` share: where the file archive is, and the error for missing data."""

import os

from mica_lake.errors import MissingDataError

__all__ = ["FLIGHT_MICA_ARCHIVE", "MICA_ARCHIVE", "MICA_ARCHIVE_PATH", "MissingDataError"]

FLIGHT_MICA_ARCHIVE = os.path.join(os.environ.get("SKA", ""), "data", "mica", "archive")  # noqa: PTH118 - a str
#: One or more folders, separated by colons: ``$MICA_ARCHIVE``, or the one below ``$SKA``.
MICA_ARCHIVE_PATH = os.environ.get("MICA_ARCHIVE", FLIGHT_MICA_ARCHIVE)
#: The last of these folders.
MICA_ARCHIVE = MICA_ARCHIVE_PATH.split(":")[-1]
