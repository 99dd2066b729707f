"""Names of loads."""

import re

__all__ = ["load_name_to_mp_dir"]

_LOAD = re.compile(r"(?P<week>[A-Z]{3}\d\d(?P<year>\d\d))(?P<version>[A-Z])", re.ASCII | re.IGNORECASE)


def load_name_to_mp_dir(load_name: str) -> str:
    """
    Folder of a load, below the folder of mission planning.

    Parameters
    ----------
    load_name : str
        Month, day, year and version, such as ``DEC2506C``.

    Returns
    -------
    str
        The folder, with a slash at both ends. Years above 90 are in the 20th century.

    Raises
    ------
    ValueError
        If it is not a load name.

    Examples
    --------
    >>> load_name_to_mp_dir("DEC2506C")
    '/2006/DEC2506/oflsc/'
    """
    load = _LOAD.fullmatch(load_name)
    if load is None:
        raise ValueError(f"{load_name!r} is not a load name: give month, day, year and version, such as 'DEC2506C'")
    year = int(load["year"])
    return f"/{year + (1900 if year > 90 else 2000)}/{load['week'].upper()}/ofls{load['version'].lower()}/"
