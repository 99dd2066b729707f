"""The files of a dark current calibration: its image and its properties."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mica_lake.errors import BadFile
from mica_lake.formats import fits_table
from mica_lake.formats.gunzip import decompress
from mica_lake.times import cxcsec, utc

SIDE = 1024

LARGEST = 1 << 26

# Properties are some 20, in 1 kB; each that is one value is a column of `dark_cal`.
LARGEST_PROPERTIES, MOST_PROPERTIES = 1 << 20, 1000


def read_properties(content: bytes, dark_id: str) -> dict[str, Any]:
    """
    Properties of a calibration.

    Parameters
    ----------
    content : bytes
        ``properties.json``.
    dark_id : str
        The calibration.

    Returns
    -------
    dict
        The properties.

    Raises
    ------
    BadFile
        If they are no JSON object, or the calibration is of no day.
    """
    try:
        properties = json.loads(text_of(content))
        json.dumps(properties, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadFile(f"it has half a character, which is not text: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadFile(f"it is not JSON: {error}") from None
    if not isinstance(properties, dict):
        raise BadFile(f"it holds {type(properties).__name__}, not an object with properties")
    if len(properties) > MOST_PROPERTIES:
        raise BadFile(f"it has more than {MOST_PROPERTIES} properties")
    try:
        if cxcsec(f"{dark_id[:4]}:{dark_id[4:]}") < 0:
            raise ValueError(f"{dark_id[:4]} is before Chandra")
    except ValueError as error:
        raise BadFile(f"its folder {dark_id} is not a day: {error}") from None
    return properties


def text_of(content: bytes) -> str:
    """Text of ``properties.json``, with U+FFFD for what is not UTF-8."""
    return content.decode("utf-8-sig", "replace")


def start_of(properties: Mapping[str, Any], dark_id: str) -> float:
    """
    Start of a calibration.

    Parameters
    ----------
    properties : mapping
        Its properties.
    dark_id : str
        The calibration.

    Returns
    -------
    float
        CXC seconds: its date or, where that is not a time on the day that its folder says, the start of that day.

    Examples
    --------
    >>> [utc(start_of({"date": date}, "2022069")) for date in ("2022:069:12:00:00", "2022:068:12:00:00", None)]
    ['2022:069:12:00:00.000', '2022:069:00:00:00.000', '2022:069:00:00:00.000']
    """
    date = properties.get("date")
    if isinstance(date, str):
        try:
            start = cxcsec(date)
            if utc(start)[:8] == f"{dark_id[:4]}:{dark_id[4:]}":
                return start
        except (ValueError, OverflowError):
            pass
    return cxcsec(f"{dark_id[:4]}:{dark_id[4:]}")


def temperature_of(properties: Mapping[str, Any]) -> float | None:
    """
    CCD temperature of a calibration.

    Parameters
    ----------
    properties : mapping
        Its properties.

    Returns
    -------
    float or None
        ``ccd_temp`` in °C; None where it is not a temperature.
    """
    value = properties.get("ccd_temp")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -300 < value < 300:
        return None
    return float(value)


def read_image(content: bytes) -> NDArray[np.float32]:
    """
    Image of a calibration.

    Parameters
    ----------
    content : bytes
        ``image.fits``.

    Returns
    -------
    numpy.ndarray of float32, shape (1024, 1024)
        Dark current in e-/s; numbers of another type are rounded to the nearest float32.

    Raises
    ------
    BadFile
        If it is no such image.
    """
    try:
        # Before fits.open, which unpacks whatever is packed, however much that is.
        content = decompress(content, LARGEST)
        if not content.startswith(b"SIMPLE  ="):
            raise BadFile("it is not a FITS image")
        fits_table.header_end(content)
        # Looked at first, as astropy makes room for whatever is announced.
        announced = fits.Header.fromstring(content[: 36 * 2880])
        axes = [announced[f"NAXIS{n}"] for n in range(min(announced["NAXIS"], 9), 0, -1)]
        if axes != [SIDE, SIDE]:
            raise BadFile(f"it is {'x'.join(map(str, axes)) or 'no image'}, not {SIDE}x{SIDE}")
        with fits.open(BytesIO(content), memmap=False) as hdus:
            image = hdus[0].data
    except BadFile:
        raise
    except Exception as error:  # astropy raises many kinds for damaged files
        raise BadFile(f"it is not a FITS image ({type(error).__name__}: {error})") from None
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = image.astype(np.float32)
    if (np.isinf(values) & np.isfinite(image)).any():
        raise BadFile(f"it has a value beyond float32: {image[np.isinf(values) & np.isfinite(image)][0]}")
    return values
