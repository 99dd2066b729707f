"""Residuals of the guide stars and fid lights of an observation: measured minus expected positions."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mica_lake.errors import BadFile
from mica_lake.formats.obspar import read
from mica_lake.store.place import DISK
from mica_lake.vv import plots
from mica_lake.vv.interval import Interval, intervals_in
from mica_lake.vv.report import as_json, joined, number, oddities, sim_report, slot_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VV_VERSION", "Interval", "Obi"]

VV_VERSION = 4
"""Version of how these numbers are defined: that of the archive's reports, which define them alike."""


class Obi:
    """
    The residuals of one observation.

    Parameters
    ----------
    obsparfile : path
        The file of its observation parameters, gzipped or not.
    obsdir : path
        A folder of aspect level 1 products, or a processing folder: from each ``ASP_L1_*`` in it, the ``out*`` with
        the highest number is taken.
    temproot : path, optional
        Where `plot_slot` writes its plots by default.

    Attributes
    ----------
    obspar : dict
        The observation parameters.
    aspect_intervals : list of Interval
        The aspect intervals that overlap the observation, by time.
    all_slot_data : dict
        Slot (int) -> name -> array of shape (n,), all intervals joined; the slots with data, ascending:

        ==================  ======  ==============================================================================
        time                s       CXC seconds of the centroid
        qual                        status of the centroid, 0 is good; -1 if that is good but a residual is NaN
        dy, dz              arcsec  measured minus expected angle
        dr                  arcsec  distance on the sphere between measured and expected position
        mag                 mag     running median of 3 samples, masked where counts are 10 or less
        yag, zag            arcsec  expected angles
        ang_y, ang_z        deg     measured angles
        ang_y_sm, ang_z_sm  deg     smoothed angles, which residuals of fid lights are computed from
        counts              e-      electrons in the image
        ==================  ======  ==============================================================================

        All are float64 except qual (int32); mag is a masked array. Statistics of dy, dz and dr use the samples with
        qual 0: ``data["dy"][data["qual"] == 0]``.
    slot_report : dict
        Slot (a str, as in JSON) -> name -> int, float or str, for each slot with a guide star or fid light,
        ascending: ``slot``, ``type`` (FID, or for a star GUIDE or MONITOR), ``id_status`` and, for stars,
        ``cel_loc_flag``. The slots in `all_slot_data` also have statistics. For x in dr, dy, dz (arcsec) and mag:
        ``<x>_n_samples`` (all), ``<x>_bad_samples`` (those left out: qual is not 0, or mag is masked), ``<x>_mean``,
        ``<x>_med``, ``<x>_rms`` (about the median) and ``frac_<x>_big`` (the fraction of all samples that are not
        left out and more than 0.7 from the median). Then ``n_pts`` (all samples), ``rad_off`` (arcsec, of dy_med and
        dz_med), ``mean_y``, ``mean_z`` (degrees; smoothed ones for fid lights), ``enc_rad1``, ``enc_rad2`` (arcsec,
        68th and 95th percentile of dr); the last four use all samples that have a value, whatever their qual. A
        number is None if all samples are left out.
    sim_report : dict
        max_medf_dy, min_medf_dy, max_d_dy and the same for dz (arcsec): extremes of the smoothed drift of the SIM,
        and its largest step between neighbours in an interval; None if the solution has no drift.
    guide_list, fid_list : list of int
        Slots of guide stars (including monitor windows) and of fid lights, ascending.
    aspect_1_id : int or None
        Number of the processing; None if it is not known, as when only files are given.
    ap_date : str or None
        Date of the processing, likewise.
    errors : list of str
        What is odd about the intervals: an unusual number of them, or intervals that disagree about a slot, which is
        then reported as in the first one.

    Raises
    ------
    MissingDataError
        If no aspect interval overlaps the observation, or one lacks a product.
    ValueError
        If a file is damaged or not a FITS file, or lacks a column or keyword; if the observation stops before it
        starts; or if the obspar and the intervals differ in obsid, or the intervals in revision.
    FileNotFoundError
        If there is no such obspar.

    Examples
    --------
    >>> from mica_lake.archive import asp_l1, obspar
    >>> lake = demo_lake().root
    >>> obi = Obi(obspar.get_obspar_file(32448, data_root=lake), asp_l1.get_dir(32448, data_root=lake))
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
        self.aspect_intervals = intervals_in(self.obspar, Path(obsdir))
        _check_same_observation(self.obspar, self.aspect_intervals, Path(obsparfile), Path(obsdir))
        parts = [interval.slot_data for interval in self.aspect_intervals]
        self.all_slot_data: dict[int, dict[str, Any]] = {
            slot: joined([part[slot] for part in parts if slot in part])
            for slot in sorted({slot for part in parts for slot in part})
        }
        tracked: dict[int, dict[str, Any]] = {}
        for interval in self.aspect_intervals:
            tracked = interval.slots | tracked
        self.slot_report = {
            str(slot): slot_report(tracked[slot], self.all_slot_data.get(slot)) for slot in sorted(tracked)
        }
        self.fid_list = [slot for slot in sorted(tracked) if tracked[slot]["type"] == "FID"]
        self.guide_list = [slot for slot in sorted(tracked) if tracked[slot]["type"] != "FID"]
        self.sim_report = sim_report([interval.sim for interval in self.aspect_intervals])
        self.errors = oddities(int(self.obspar["obs_id"]), self.aspect_intervals)

    def info(self) -> dict[str, Any]:
        """
        All results for the observation.

        Returns
        -------
        dict
            ``obsid`` (int), ``tstart``, ``tstop`` (CXC seconds), ``sim_z``, ``sim_z_offset`` (mm), ``ra_pnt``,
            ``dec_pnt``, ``roll_pnt`` (degrees) and ``instrument`` (DETNAM) from the obspar; ``revision`` of the
            aspect products; ``aspect_1_id`` and ``ap_date`` of the processing, None if not known; ``intervals`` (list
            of `Interval.header`); ``slots`` (`slot_report`); ``sim`` (`sim_report`); ``gsprops``, ``fidprops`` (for
            each interval a list of dict, `Interval.gsprops` and `Interval.fidprops`); ``vv_version`` and ``errors``.
            It consists of what JSON has: int, float, str, list, dict and None, which stands for NaN. It is a copy,
            which may be changed.
        """
        obspar = self.obspar
        names = ("tstart", "tstop", "sim_z", "sim_z_offset", "ra_pnt", "dec_pnt", "roll_pnt")
        info: dict[str, Any] = as_json(
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
            Mean temperature of the CCD during the observation (°C); in the lake, TEMPCCD - 273.15.

        Returns
        -------
        list of dict
            A row for each slot with data, by slot; all have the same columns in the order of the table. ``used`` is 1
            for fid lights and ``cel_loc_flag`` for stars. A number that is None in the report is NaN.

        Examples
        --------
        >>> from mica_lake.archive import asp_l1, obspar
        >>> lake = demo_lake().root
        >>> obi = Obi(obspar.get_obspar_file(32448, data_root=lake), asp_l1.get_dir(32448, data_root=lake))
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
                **{name: number(info[name]) for name in whole},
                **{name: number(report[name]) for name in (*of_slot, *statistics)},
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
        Plot the residuals of a slot.

        Parameters
        ----------
        slot_num : int
            A slot with data.
        plotdir : path, optional
            Where to write the plots; ``temproot`` by default.
        save : bool
            Whether to write them: ``slot_N.png``, or single panels under their names.
        close : bool
            Accepted for code written for mica, but without effect: these figures are never open in pyplot.
        singles : bool
            Whether to return each panel as a figure of its own.

        Returns
        -------
        matplotlib.figure.Figure or dict
            All panels in one figure; or a figure for each of slot_N_yz (dy against dz), slot_N_yzf (the same in a
            fixed range), slot_N_y, slot_N_z and slot_N_m (dy, dz and magnitude against time).

        Raises
        ------
        ValueError
            If the slot has no data, or plots are to be written and there is no folder for them.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from mica_lake.archive import asp_l1, obspar
        >>> lake = demo_lake().root
        >>> obi = Obi(obspar.get_obspar_file(32448, data_root=lake), asp_l1.get_dir(32448, data_root=lake))
        >>> list(obi.plot_slot(3, singles=True))
        ['slot_3_yz', 'slot_3_yzf', 'slot_3_y', 'slot_3_z', 'slot_3_m']
        """
        if slot_num not in self.all_slot_data:
            raise ValueError(f"slot {slot_num!r} has no data: give one of {', '.join(map(str, self.all_slot_data))}")
        directory = self.temproot if plotdir is None else plotdir
        if save and directory is None:
            raise ValueError("no folder to write the plots to: give plotdir, or temproot to Obi")
        picture = self._plot(slot_num)
        figures = picture.singles() if singles else {f"slot_{slot_num}": picture.figure()}
        if save and directory is not None:
            _write(figures, directory)
        return figures if singles else figures[f"slot_{slot_num}"]

    def save(self, directory: str | os.PathLike[str]) -> list[Path]:
        """
        Write the report and the plots of all slots, as the archive keeps them.

        Parameters
        ----------
        directory : path
            The folder, made if it is missing. Files of the same names are replaced, each once the new one is whole.

        Returns
        -------
        list of Path
            What was written: for each slot with data ``slot_N.png`` and the single panels
            ``slot_N_{yz,yzf,y,z,m}.png``; and last, as a sign that all is there, ``vv_report.json`` (`report`).

        Raises
        ------
        ImportError
            If matplotlib is not installed; then nothing is written.
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
        Report of the observation: the content of its ``vv_report.json``.

        Returns
        -------
        str
            `info` as JSON, with null for NaN.
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


def _read_obspar(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    try:
        obspar: dict[str, Any] = {parameter.name: parameter.typed for parameter in read(content)}
    except BadFile as error:
        raise ValueError(
            f"{path}: it is damaged, or not an obspar ({error}): give an axaff*_obs0a.par or .par.gz"
        ) from error
    names = ("obs_id", "tstart", "tstop", "sim_z", "sim_z_offset", "ra_pnt", "dec_pnt", "roll_pnt", "detnam")
    if absent := [name for name in names if obspar.get(name) is None]:
        raise ValueError(f"{path}: it lacks {', '.join(absent)}, so it is not the obspar of a completed observation")
    if not obspar["tstart"] <= obspar["tstop"]:
        raise ValueError(f"{path}: stop {obspar['tstop']} is before start {obspar['tstart']}")
    return obspar


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
