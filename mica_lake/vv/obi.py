"""Residuals of guide stars and fid lights in an observation: measured centroids less where they should be."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mica_lake.errors import BadFile, MissingDataError
from mica_lake.formats.fits_product import Product
from mica_lake.ingest import obspar as obspar_files
from mica_lake.store.place import DISK
from mica_lake.vv import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VV_VERSION", "Interval", "Obi"]

VV_VERSION = 4
"""Version of the definitions of these numbers: that of the archive's reports, which are the same."""

R2A = 206264.81
"""Arcsec per radian, rounded as in the archive's reports."""

D2R = 0.017453293
"""Radians per degree, rounded likewise."""

_Floats = NDArray[np.float64]
_Column = NDArray[Any]
_Masked = np.ma.MaskedArray[Any, np.dtype[Any]]

_HEADER = ("ASCDSVER", "CALDBVER", "DATE", "OBI_NUM", "OBS_ID", "REVISION", "TSTART", "TSTOP")
_CENTROID = ("time", "slot", "alg", "status", "ang_y", "ang_z", "ang_y_sm", "ang_z_sm", "counts")
# Of a 10.32 mag star, electrons per second.
_ELECTRONS = 5263.0
# Below so many counts there is no image to measure.
_LEAST_COUNTS = 10
# From mm at the SIM to arcsec on the sky, rounded.
_ARCSEC_PER_MM = 20
# Quality of a sample whose status is good and whose residual is not a number.
_NO_RESIDUAL = -1
# What a sample may be from the median before it is counted (arcsec, or mag).
_BIG = 0.7
# Rows whose windows are sorted at a time, so that a long observation takes no more memory than a short one.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Interval:
    """
    One aspect interval, and the residuals in it.

    Attributes
    ----------
    name : str
        What its products' names begin with, such as ``pcadf052091234N002``.
    header : dict
        ASCDSVER, CALDBVER, DATE, OBI_NUM, OBS_ID, REVISION, TSTART and TSTOP of its aspect solution.
    gsprops, fidprops : list of dict
        Rows of its guide star and fid light properties: name of the column -> int, float, str (stripped) or list.
    sim : dict
        medf_dy, medf_dz: drift of the SIM (arcsec), smoothed, at each sample of the solution; numpy.ndarray of
        float64, NaN where the solution has no drift.
    slots : dict
        Slot -> what is tracked there: slot, type, id_status and, of stars, cel_loc_flag; with or without centroids.
    slot_data : dict
        Slot -> name -> array, as of `Obi.all_slot_data`, of the slots with centroids.
    """

    name: str
    header: dict[str, Any]
    gsprops: list[dict[str, Any]]
    fidprops: list[dict[str, Any]]
    sim: dict[str, _Floats]
    slots: dict[int, dict[str, Any]]
    slot_data: dict[int, dict[str, Any]]


class Obi:
    """
    The residuals of one observation.

    Parameters
    ----------
    obsparfile : path
        Its observation parameters, gzipped or not.
    obsdir : path
        A folder of aspect level 1 products, or a processing folder: of each ``ASP_L1_*`` in it, the ``out*`` of the
        highest number is taken.
    temproot : path, optional
        Where `plot_slot` writes pictures when it is not told otherwise.

    Attributes
    ----------
    obspar : dict
        The observation parameters.
    aspect_intervals : list of Interval
        The aspect intervals that meet the observation, by time.
    all_slot_data : dict
        Slot (int) -> name -> array of shape (n,), all intervals joined, for each slot with data, ascending:

        ==================  ======  ==============================================================================
        time                s       CXC seconds of the centroid
        qual                        status of the centroid, 0 is good; -1 where that is good but a residual is NaN
        dy, dz              arcsec  measured less expected angle
        dr                  arcsec  distance on the sphere of measured and expected place
        mag                 mag     running median of 3 (see `running_median`), masked where counts are 10 or less
        yag, zag            arcsec  expected angles
        ang_y, ang_z        deg     measured angles
        ang_y_sm, ang_z_sm  deg     those smoothed, which the residuals of fid lights are of
        counts              e-      of the image
        ==================  ======  ==============================================================================

        All are float64 but for qual (int32); mag is a masked array. Statistics of dy, dz and dr are over the samples
        with qual 0: ``data["dy"][data["qual"] == 0]``.
    slot_report : dict
        Slot (str, as JSON has it) -> name -> int, float or str, of each slot of a guide star or fid light, ascending:
        ``slot``, ``type`` (FID, or of a star GUIDE or MONITOR), ``id_status`` and, of stars, ``cel_loc_flag``. The
        slots of `all_slot_data` have their statistics besides. For x of dr, dy, dz (arcsec) and mag:
        ``<x>_n_samples`` (all), ``<x>_bad_samples`` (those left out: qual is not 0, or mag is masked), ``<x>_mean``,
        ``<x>_med``, ``<x>_rms`` (about the median) and ``frac_<x>_big`` (samples that are not left out and more than
        0.7 from the median, over all). And ``n_pts`` (all samples), ``rad_off`` (arcsec, of dy_med and dz_med),
        ``mean_y``, ``mean_z`` (degrees; of fid lights those smoothed), ``enc_rad1``, ``enc_rad2`` (arcsec, 68 and 95
        percentile of dr): these four are over all samples that have a value, whatever their qual. A number that
        cannot be known, as all samples are left out, is None.
    sim_report : dict
        max_medf_dy, min_medf_dy, max_d_dy and the same of dz (arcsec): extremes of the smoothed drift of the SIM, and
        its largest step between neighbours in an interval; None where the solution has no drift.
    guide_list, fid_list : list of int
        Slots of guide stars (monitor windows, too) and of fid lights, ascending.
    aspect_1_id : int or None
        Number of the processing; None where it is not known, as when only files are given.
    ap_date : str or None
        Date of the processing, likewise.
    errors : list of str
        What is odd about the intervals: how many there are, and what they tell otherwise of the same slot. Such a
        slot is reported as its first interval has it.

    Raises
    ------
    MissingDataError
        If there is no aspect interval that meets the observation, or one lacks a product.
    ValueError
        If a file is damaged or no FITS file, lacks a column or keyword, if the observation stops before it starts, or
        if the obsids of the obspar and of all intervals, or the revisions of these, are not the same.
    FileNotFoundError
        If there is no such obspar.

    Examples
    --------
    >>> archive = getfixture("demo_ska") / "data/mica/archive"
    >>> obi = Obi(next(archive.glob("obspar/*/*_v*/*")), min(archive.glob("asp1/*/*_v*")))
    >>> obi.slot_report["0"]["type"], obi.slot_report["0"]["dy_rms"] < 0.05
    ('FID', True)
    >>> obi.info()["vv_version"], sorted(obi.info()["slots"])
    (4, ['0', '1', '2', '3', '4', '5', '6', '7'])
    """

    def __init__(
        self,
        obsparfile: str | os.PathLike[str],
        obsdir: str | os.PathLike[str],
        temproot: str | os.PathLike[str] | None = None,
    ) -> None:
        self.temproot = temproot
        self.aspect_1_id: int | None = None
        self.ap_date: str | None = None
        self.obspar = _read_obspar(Path(obsparfile))
        self.aspect_intervals = _intervals(self.obspar, Path(obsdir))
        _check_same_observation(self.obspar, self.aspect_intervals, Path(obsparfile), Path(obsdir))
        parts = [interval.slot_data for interval in self.aspect_intervals]
        self.all_slot_data: dict[int, dict[str, Any]] = {
            slot: _joined([part[slot] for part in parts if slot in part])
            for slot in sorted({slot for part in parts for slot in part})
        }
        tracked: dict[int, dict[str, Any]] = {}
        for interval in self.aspect_intervals:
            tracked = interval.slots | tracked
        self.slot_report = {
            str(slot): _slot_report(tracked[slot], self.all_slot_data.get(slot)) for slot in sorted(tracked)
        }
        self.fid_list = [slot for slot in sorted(tracked) if tracked[slot]["type"] == "FID"]
        self.guide_list = [slot for slot in sorted(tracked) if tracked[slot]["type"] != "FID"]
        self.sim_report = _sim_report([interval.sim for interval in self.aspect_intervals])
        self.errors = _oddities(int(self.obspar["obs_id"]), self.aspect_intervals)

    def info(self) -> dict[str, Any]:
        """
        What is known of the observation.

        Returns
        -------
        dict
            ``obsid`` (int), ``tstart``, ``tstop`` (CXC seconds), ``sim_z``, ``sim_z_offset`` (mm), ``ra_pnt``,
            ``dec_pnt``, ``roll_pnt`` (degrees) and ``instrument`` (DETNAM) of the obspar; ``revision`` of the aspect
            products; ``aspect_1_id`` and ``ap_date`` of the processing, None where it is not known; ``intervals`` (list
            of `Interval.header`); ``slots`` (`slot_report`); ``sim`` (`sim_report`); ``gsprops``, ``fidprops`` (for
            each interval a list of dict, its `Interval.gsprops` and `Interval.fidprops`); ``vv_version`` and
            ``errors``. It is as JSON has it, of int, float, str, list, dict and None, which stands for NaN; a copy, to
            be changed at will.
        """
        obspar = self.obspar
        names = ("tstart", "tstop", "sim_z", "sim_z_offset", "ra_pnt", "dec_pnt", "roll_pnt")
        info: dict[str, Any] = _as_json(
            {
                "obsid": int(obspar["obs_id"]),
                "revision": int(self.aspect_intervals[0].header["REVISION"]),
                **{name: obspar[name] for name in names},
                "instrument": obspar["detnam"],
                "aspect_1_id": self.aspect_1_id,
                "ap_date": self.ap_date,
                "intervals": [interval.header for interval in self.aspect_intervals],
                "slots": self.slot_report,
                "sim": self.sim_report,
                "gsprops": [interval.gsprops for interval in self.aspect_intervals],
                "fidprops": [interval.fidprops for interval in self.aspect_intervals],
                "vv_version": VV_VERSION,
                "errors": self.errors,
            }
        )
        return info

    def rms_rows(
        self, *, isdefault: int, aspect_1_id: int, ap_date: str, mean_aacccdpt: float
    ) -> list[dict[str, int | float | str]]:
        """
        Rows of the table ``vv_rms``, which lists the residuals of all observations.

        Parameters
        ----------
        isdefault : int
            1 if this is the released revision, else 0.
        aspect_1_id : int
            Number of the processing.
        ap_date : str
            Its date.
        mean_aacccdpt : float
            Mean temperature of the CCD in the observation (°C); the lake has it as TEMPCCD - 273.15.

        Returns
        -------
        list of dict
            A row for each slot with data, by slot; all have the same columns in the order of the table. ``used`` is 1
            for fid lights and ``cel_loc_flag`` for stars. A number that cannot be known is NaN.

        Examples
        --------
        >>> archive = getfixture("demo_ska") / "data/mica/archive"
        >>> obi = Obi(next(archive.glob("obspar/*/*_v*/*")), min(archive.glob("asp1/*/*_v*")))
        >>> rows = obi.rms_rows(isdefault=1, aspect_1_id=77, ap_date="2024-01-03T00:00:00", mean_aacccdpt=-11.5)
        >>> [row["slot"] for row in rows], rows[0]["used"], rows[0]["mean_aacccdpt"]
        ([0, 1, 2, 3, 4, 5, 6, 7], 1, -11.5)
        """
        info = self.info()
        whole = ("tstart", "tstop", "sim_z", "sim_z_offset", "instrument", "ra_pnt", "dec_pnt", "roll_pnt")
        of_slot = ("slot", "type", "n_pts", "rad_off", "frac_dy_big", "frac_dz_big", "frac_mag_big", "mean_y", "mean_z")
        statistics = [f"{name}_{kind}" for name in ("dy", "dz", "dr", "mag") for kind in ("mean", "med", "rms")]
        return [
            {
                "obsid": info["obsid"],
                "revision": info["revision"],
                "isdefault": isdefault,
                "aspect_1_id": aspect_1_id,
                "used": report.get("cel_loc_flag", 1),
                "vv_version": VV_VERSION,
                "ap_date": ap_date,
                **{name: _number(info[name]) for name in whole},
                **{name: _number(report[name]) for name in (*of_slot, *statistics)},
                "mean_aacccdpt": mean_aacccdpt,
            }
            for report in (self.slot_report[str(slot)] for slot in self.all_slot_data)
        ]

    def plot_slot(
        self,
        slot_num: int,
        plotdir: str | os.PathLike[str] | None = None,
        save: bool = False,
        close: bool = False,
        singles: bool = False,
    ) -> "Figure | dict[str, Figure]":
        """
        Pictures of the residuals of a slot.

        Parameters
        ----------
        slot_num : int
            One with data.
        plotdir : path, optional
            Where to write them; ``temproot`` otherwise.
        save : bool
            Whether to write them: ``slot_N.png``, or of single ones each by its name.
        close : bool
            Without effect, as code for mica may give it: these figures are never open in pyplot.
        singles : bool
            Whether to give each panel as a picture of its own.

        Returns
        -------
        matplotlib.figure.Figure or dict
            All panels in one; or slot_N_yz (dy against dz), slot_N_yzf (in a fixed range), slot_N_y, slot_N_z and
            slot_N_m (dy, dz and magnitude against time), each -> Figure.

        Raises
        ------
        ValueError
            If the slot has no data, or pictures are to be written and it is not said where.
        ImportError
            If matplotlib is absent.

        Examples
        --------
        >>> archive = getfixture("demo_ska") / "data/mica/archive"
        >>> obi = Obi(next(archive.glob("obspar/*/*_v*/*")), min(archive.glob("asp1/*/*_v*")))
        >>> list(obi.plot_slot(3, singles=True))
        ['slot_3_yz', 'slot_3_yzf', 'slot_3_y', 'slot_3_z', 'slot_3_m']
        """
        if slot_num not in self.all_slot_data:
            raise ValueError(f"slot {slot_num!r} has no data: give one of {', '.join(map(str, self.all_slot_data))}")
        directory = self.temproot if plotdir is None else plotdir
        if save and directory is None:
            raise ValueError("where should the pictures be written? Give plotdir, or temproot to Obi")
        picture = self._plot(slot_num)
        figures = picture.singles() if singles else {f"slot_{slot_num}": picture.figure()}
        if save and directory is not None:
            _write(figures, directory)
        return figures if singles else figures[f"slot_{slot_num}"]

    def save(self, directory: str | os.PathLike[str]) -> list[Path]:
        """
        Write the report and the pictures of all slots, as the archive keeps them.

        Parameters
        ----------
        directory : path
            Where to; it is made where it is missing. Files there of the same names are replaced, each when the new
            one is whole.

        Returns
        -------
        list of Path
            What was written: of each slot with data ``slot_N.png`` and the single pictures
            ``slot_N_{yz,yzf,y,z,m}.png``; last, so that with it all is there, ``vv_report.json``: `report`.

        Raises
        ------
        ImportError
            If matplotlib is absent; nothing is written then.
        """
        written = []
        for slot in self.all_slot_data:
            picture = self._plot(slot)
            written += _write({f"slot_{slot}": picture.figure(), **picture.singles()}, directory)
        written.append(Path(directory, "vv_report.json"))
        DISK.put(written[-1], self.report().encode())
        return written

    def report(self) -> str:
        """
        Report of the observation, the content of its ``vv_report.json``.

        Returns
        -------
        str
            `info` as JSON, null where a number cannot be known.
        """
        return json.dumps(self.info(), indent=1, sort_keys=True, allow_nan=False)

    def _plot(self, slot: int) -> plots.SlotPlot:
        return plots.SlotPlot(
            observation=f"obsid {int(self.obspar['obs_id'])} revision {self.aspect_intervals[0].header['REVISION']}",
            start=float(self.obspar["tstart"]),
            stop=float(self.obspar["tstop"]),
            interval_starts=[float(interval.header["TSTART"]) for interval in self.aspect_intervals],
            data=self.all_slot_data[slot],
            report=self.slot_report[str(slot)],
        )


def _write(figures: "Mapping[str, Figure]", directory: str | os.PathLike[str]) -> list[Path]:
    written = []
    for name, figure in figures.items():
        written.append(Path(directory, f"{name}.png"))
        DISK.put(written[-1], plots.png(figure))
    return written


def running_median(values: _Floats, width: int) -> _Floats:
    """
    Median of each value and its neighbours.

    Beyond the ends values count as 0, as with ``scipy.signal.medfilt``, which the archive's reports were made with.

    Parameters
    ----------
    values : numpy.ndarray of float64, shape (n,)
        The values.
    width : int
        How many count, odd.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        The medians; the values themselves where there are so few that each median would be one of the zeros.

    Examples
    --------
    >>> running_median(np.array([5.0, 4.0, 9.0, 6.0]), 3)
    array([4., 5., 6., 6.])
    """
    half = width // 2
    if len(values) <= half:
        return values.copy()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half), width)
    return np.concatenate([np.median(windows[i : i + _BLOCK], axis=1) for i in range(0, len(windows), _BLOCK)])


def star_angles(attitudes: _Floats, aca_misalign: _Floats, position: _Floats) -> tuple[_Floats, _Floats]:
    """
    Where the ACA should see a star.

    Parameters
    ----------
    attitudes : numpy.ndarray of float64, shape (n, 4)
        Quaternions of the body, of length 1, the scalar last. Ones that are interpolated between samples of the
        aspect solution are near enough (1e-10 arcsec) to need no scaling.
    aca_misalign : numpy.ndarray of float64, shape (3, 3)
        From the body's axes to the ACA's.
    position : numpy.ndarray of float64, shape (3,)
        The star in ECI.

    Returns
    -------
    tuple of numpy.ndarray of float64, shape (n,)
        Its y and z angle (arcsec).

    Examples
    --------
    >>> [angle.round(3) + 0 for angle in star_angles(np.array([[0, 0, 0, 1.0]]), np.eye(3), np.array([1, 1e-3, 0]))]
    [array([206.265]), array([0.])]
    """
    x, y, z, w = attitudes.T
    a, b, c = position
    # The columns of the attitude matrix of a quaternion of length 1 (Wertz 1978, appendix E), times the position.
    body = [
        (1 - 2 * y * y - 2 * z * z) * a + 2 * (x * y + z * w) * b + 2 * (x * z - y * w) * c,
        2 * (x * y - z * w) * a + (1 - 2 * x * x - 2 * z * z) * b + 2 * (y * z + x * w) * c,
        2 * (x * z + y * w) * a + 2 * (y * z - x * w) * b + (1 - 2 * x * x - 2 * y * y) * c,
    ]
    return _angles(aca_misalign @ np.array(body))


def fid_angles(
    drift: tuple[_Floats, _Floats, _Floats], misalign: _Floats, place: _Floats, distance: float
) -> tuple[_Floats, _Floats]:
    """
    Where the ACA should see a fid light.

    Parameters
    ----------
    drift : tuple of numpy.ndarray of float64, shape (n,)
        dy, dz (mm) and dtheta (degrees) of the aspect solution.
    misalign : numpy.ndarray of float64, shape (3, 3)
        From the focal plane's axes to the ACA's: ``aca_misalign @ fts_misalign``.
    place : numpy.ndarray of float64, shape (3,)
        The light (mm), in the focal plane's axes.
    distance : float
        From the ACA to the focal plane (mm).

    Returns
    -------
    tuple of numpy.ndarray of float64, shape (n,)
        Its y and z angle (arcsec).

    Examples
    --------
    >>> still = (np.zeros(1), np.zeros(1), np.zeros(1))
    >>> [angle.round(3) + 0 for angle in fid_angles(still, np.eye(3), np.array([0, -10.0, 0]), 10000.0)]
    [array([206.265]), array([0.])]
    """
    dy, dz, dtheta = drift
    x, y, z = place
    angle = D2R * dtheta
    s, c = np.sin(angle), np.cos(angle)
    # From the light to the ACA is the direction in which the mirrored light is seen.
    return _angles(misalign @ -np.array([np.full_like(dy, x - distance), c * y + s * z + dy, c * z - s * y + dz]))


def _angles(vectors: _Floats) -> tuple[_Floats, _Floats]:
    """Give y and z angles (arcsec) of vectors (3, n)."""
    x, y, z = vectors
    return R2A * np.arctan2(y, x), R2A * np.arctan2(z, x)


def _distance(y1: _Floats, z1: _Floats, y2: _Floats, z2: _Floats) -> _Floats:
    """Give the distance on the sphere of places (all arcsec), by haversines, which are exact where it is small."""
    a, b, c, d = (angle / R2A for angle in (y1, z1, y2, z2))
    with np.errstate(invalid="ignore"):  # of an angle that is infinite
        haversine = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    distance: _Floats = 2 * R2A * np.arcsin(np.sqrt(haversine))
    return distance


def _magnitudes(counts: _Floats, seconds: float) -> _Masked:
    """Give magnitudes of images by their electrons in an integration, smoothed, and masked where there are too few."""
    enough = (counts > _LEAST_COUNTS) & np.isfinite(counts)
    magnitudes = np.full(len(counts), np.nan)
    magnitudes[enough] = running_median(10.32 - 2.5 * np.log10(counts[enough] / seconds / _ELECTRONS), 3)
    return np.ma.MaskedArray(magnitudes, ~enough)


def _read_obspar(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    try:
        obspar: dict[str, Any] = {parameter.name: parameter.typed for parameter in obspar_files.read(content)}
    except BadFile as error:
        raise ValueError(
            f"{path}: it is no obspar, or damaged ({error}): give an axaff*_obs0a.par or .par.gz"
        ) from error
    names = ("obs_id", "tstart", "tstop", "sim_z", "sim_z_offset", "ra_pnt", "dec_pnt", "roll_pnt", "detnam")
    if absent := [name for name in names if obspar.get(name) is None]:
        raise ValueError(f"{path}: it lacks {', '.join(absent)}, so it is no obspar of an observation that was made")
    if not obspar["tstart"] <= obspar["tstop"]:
        raise ValueError(f"{path}: stop {obspar['tstop']} is before start {obspar['tstart']}")
    return obspar


def _solutions(folder: Path) -> list[Path]:
    """Give the aspect solutions in a folder of products, or of processing, one of each name."""
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: there is no such folder; give one with aspect level 1 products")

    def number(out: Path) -> int:
        digits = re.search(r"\d+$", out.name)
        return int(digits[0]) if digits else -1

    outs = [max(found, key=number) for one in sorted(folder.glob("ASP_L1_*")) if (found := sorted(one.glob("out*")))]
    paths = [path for one in outs or [folder] for path in sorted(one.glob("pcad*asol1.fits*"))]
    # A name that is there twice, gzipped and not, is one interval.
    names = {path.name.removesuffix(".gz"): path for path in paths if path.name.endswith((".fits", ".fits.gz"))}
    return list(names.values())


def _sibling(solution: Path, name: str, kind: str) -> Product:
    for ending in (".fits.gz", ".fits"):
        path = solution.with_name(f"{name}_{kind}1{ending}")
        if path.exists():
            return Product(path)
    raise MissingDataError(
        f"{solution.parent}: {name}_{kind}1.fits(.gz), which belongs to {solution.name}, is missing: "
        "fetch it, all products of an aspect interval are needed"
    )


def _intervals(obspar: Mapping[str, Any], folder: Path) -> list[Interval]:
    """Give the aspect intervals in a folder that meet the observation."""
    start, stop = obspar["tstart"], obspar["tstop"]
    solutions = [Product(path) for path in _solutions(folder)]
    solutions = [solution for solution in solutions if solution.keyword("CONTENT") != "ASPSOLOBI"]
    chosen = [s for s in solutions if s.number("TSTART") < stop and s.number("TSTOP") > start]
    if not chosen:
        there = f"none of its {len(solutions)} aspect solutions meets" if solutions else "it has no aspect solution for"
        raise MissingDataError(
            f"{folder}: {there} {start} to {stop}, the observation of obsid {obspar['obs_id']}: "
            "give the folder of its pcad*_asol1.fits.gz"
        )
    return [_interval(solution) for solution in sorted(chosen, key=lambda s: s.number("TSTART"))]


def _interval(solution: Product) -> Interval:
    """Compute the residuals of one aspect interval."""
    name = solution.path.name.partition("_")[0]
    acal, acen, gspr, fidpr = (_sibling(solution.path, name, kind) for kind in ("acal", "acen", "gspr", "fidpr"))
    for product in (solution, acal):
        if not len(product.data):
            raise ValueError(f"{product.path}: it has no rows: leave this aspect interval out, or fetch it anew")
    time = solution.column("time")
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        raise ValueError(f"{solution.path}: its times are not ascending: fetch it anew")
    # Newer solutions have the drift in the attitude, and beside it what the older ones have.
    dy, dz, dtheta = (solution.column(f"a{column}", column) for column in ("dy", "dz", "dtheta"))
    attitude = solution.column("q_att_raw", "q_att")
    aca_misalign, fts_misalign = (acal.column(column)[0] for column in ("aca_misalign", "fts_misalign"))
    offset = [fidpr.number(f"LSI0STT{i}") + fidpr.number(f"STT0STF{i}") for i in (1, 2, 3)]
    distance, seconds = fidpr.number("RRC0FCX"), acen.number("INTGTIME")

    columns = {column: acen.column(column) for column in _CENTROID}
    chosen = (columns["alg"] == 8) & (columns["time"] >= time[0]) & (columns["time"] <= time[-1])
    columns = {column: values[chosen] for column, values in columns.items()}

    def residuals(row: Mapping[str, Any], fid: bool) -> dict[str, _Column]:
        at = columns["slot"] == row["slot"]
        data = {column: columns[column][at] for column in _CENTROID if column not in ("slot", "alg")}
        times, status = data.pop("time"), data.pop("status").astype(np.int32)
        if fid:
            drift = (np.interp(times, time, dy), np.interp(times, time, dz), np.interp(times, time, dtheta))
            place = np.add(row["p_lsi"], offset)
            yag, zag = fid_angles(drift, aca_misalign @ fts_misalign, place, distance)
        else:
            q = np.stack([np.interp(times, time, component) for component in attitude.T], axis=1)
            yag, zag = star_angles(q, aca_misalign, np.array(row["pos_eci"]))
        y, z = (3600 * data[column + "_sm" * fid] for column in ("ang_y", "ang_z"))
        residual = {"dy": y - yag, "dz": z - zag, "dr": _distance(yag, zag, y, z)}
        known = np.isfinite(list(residual.values())).all(axis=0)
        qual = np.where((status == 0) & ~known, np.int32(_NO_RESIDUAL), status)
        of_time = {"time": times, "qual": qual}
        return {**of_time, **residual, "mag": _magnitudes(data["counts"], seconds), "yag": yag, "zag": zag, **data}

    slots: dict[int, dict[str, Any]] = {}
    slot_data: dict[int, dict[str, Any]] = {}
    gsprops = gspr.rows("slot", "type", "id_status", "cel_loc_flag", "pos_eci")
    fidprops = fidpr.rows("slot", "id_status", "p_lsi")
    for row, fid in [*((row, True) for row in fidprops), *((row, False) for row in gsprops)]:
        slot = row["slot"]
        data = residuals(row, fid)
        if len(data["time"]) >= (1 if fid else 2):
            slot_data[slot] = data
        slots[slot] = {"slot": slot, "type": "FID" if fid else row["type"], "id_status": row["id_status"]}
        if not fid:
            slots[slot]["cel_loc_flag"] = row["cel_loc_flag"]
    sim = {f"medf_{axis}": _smoothed(_ARCSEC_PER_MM * moved) for axis, moved in (("dy", dy), ("dz", dz))}
    header = {keyword: solution.keyword(keyword) for keyword in _HEADER}
    return Interval(name, header, gsprops, fidprops, sim, slots, slot_data)


def _check_same_observation(
    obspar: Mapping[str, Any], intervals: Sequence[Interval], obspar_file: Path, aspect_dir: Path
) -> None:
    for keyword, what in (("OBS_ID", "obsids"), ("REVISION", "revisions")):
        values = sorted({int(interval.header[keyword]) for interval in intervals})
        if len(values) > 1:
            raise ValueError(
                f"{aspect_dir}: its aspect intervals are of {what} {', '.join(map(str, values))}: give a folder of one"
            )
    obsid = int(intervals[0].header["OBS_ID"])
    if obsid != int(obspar["obs_id"]):
        raise ValueError(
            f"{aspect_dir} is of obsid {obsid}, {obspar_file} of {obspar['obs_id']}: give those of one observation"
        )


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, _Column]:
    """Join the data of a slot in several intervals."""
    joined: dict[str, _Column] = {}
    for name, first in parts[0].items():
        joined[name] = np.concatenate([np.ma.getdata(part[name]) for part in parts])
        if isinstance(first, np.ma.MaskedArray):
            # Not np.ma.concatenate, which leaves out a mask of nothing.
            joined[name] = np.ma.MaskedArray(joined[name], np.concatenate([part[name].mask for part in parts]))
    return joined


def _slot_report(tracked: Mapping[str, Any], data: Mapping[str, _Column] | None) -> dict[str, Any]:
    """Give what is tracked in a slot and, if it has data, its numbers."""
    report: dict[str, Any] = dict(tracked)
    if data is None:
        return report
    for name in ("dr", "dy", "dz", "mag"):
        values: Any = data[name]
        good = values.compressed() if name == "mag" else values[data["qual"] == 0]
        count, median = len(values), float(np.median(good)) if len(good) else math.nan
        away = good - median
        report[f"{name}_n_samples"] = count
        report[f"{name}_bad_samples"] = count - len(good)
        report[f"{name}_mean"] = float(good.mean()) if len(good) else math.nan
        report[f"{name}_med"] = median
        report[f"{name}_rms"] = math.sqrt((away**2).mean()) if len(good) else math.nan
        report[f"frac_{name}_big"] = int((abs(away) > _BIG).sum()) / count
    suffix = "_sm" if tracked["type"] == "FID" else ""
    y, z, dr = (data[name][np.isfinite(data[name])] for name in (f"ang_y{suffix}", f"ang_z{suffix}", "dr"))
    report["n_pts"] = len(data["time"])
    report["rad_off"] = math.hypot(report["dy_med"], report["dz_med"])
    report["mean_y"], report["mean_z"] = (float(angle.mean()) if len(angle) else math.nan for angle in (y, z))
    report["enc_rad1"], report["enc_rad2"] = np.percentile(dr, (68, 95)).tolist() if len(dr) else (math.nan, math.nan)
    found: dict[str, Any] = _as_json(report)
    return found


def _smoothed(drift: _Floats) -> _Floats:
    """Give the running median of 21 of the samples that are numbers, NaN for the others."""
    known = np.isfinite(drift)
    smoothed = np.full(len(drift), np.nan)
    smoothed[known] = running_median(drift[known], 21)
    return smoothed


def _sim_report(parts: Sequence[Mapping[str, _Floats]]) -> dict[str, float | None]:
    """Give the extremes of the SIM's drift; a step from one interval to the next is no drift."""
    report: dict[str, float | None] = {}
    for axis in ("dy", "dz"):
        drifts = [drift[np.isfinite(drift)] for drift in (part[f"medf_{axis}"] for part in parts)]
        drifts = [drift for drift in drifts if len(drift)]
        report[f"max_medf_{axis}"] = max((float(drift.max()) for drift in drifts), default=None)
        report[f"min_medf_{axis}"] = min((float(drift.min()) for drift in drifts), default=None)
        report[f"max_d_{axis}"] = max((float(abs(np.diff(drift)).max(initial=0)) for drift in drifts), default=None)
    return report


def _oddities(obsid: int, intervals: Sequence[Interval]) -> list[str]:
    """Give what is odd about the intervals."""
    monitor = any(interval.slots.get(7, {}).get("type") == "MONITOR" for interval in intervals)
    errors = []
    if len(intervals) != (2 if monitor else 1):
        kind = "monitor window obsid" if monitor else "obsid"
        errors.append(f"Warning: {kind} {obsid} has {len(intervals)} aspect intervals")
    for slot in sorted({slot for interval in intervals for slot in interval.slots}):
        having = [interval.slots[slot] for interval in intervals if slot in interval.slots]
        with_data = sum(slot in interval.slot_data for interval in intervals)
        if 0 < with_data < len(intervals):
            errors.append(f"Warning: slot {slot} has data in {with_data} of {len(intervals)} aspect intervals")
        for name in ("id_status", "type", "cel_loc_flag"):
            values = [str(tracked.get(name)) for tracked in having]
            if len(set(values)) > 1:
                errors.append(f"Warning: {name} of slot {slot} differs between aspect intervals: {', '.join(values)}")
    return errors


def _as_json(value: Any) -> Any:
    """Give a copy of a value, with None for each number that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    """Give the inverse of `_as_json` of a number."""
    return math.nan if value is None else value
