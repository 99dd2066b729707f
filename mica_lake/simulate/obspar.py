"""Simulate observation parameters: obspar files, one line for each parameter, and the table that lists them."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mica_lake import times
from mica_lake.simulate.days import Days
from mica_lake.simulate.dwells import generator
from mica_lake.simulate.files import write, write_database
from mica_lake.simulate.observations import Observation, link_revisions, revision_folder

__all__ = ["write_archive", "write_days", "write_obspar"]

_TABLE = (
    "filename text, obsid int, tstart float, tstop float, revision int, content text DEFAULT 'OBSPAR', isdefault int, "
    "detnam text"
)

# Targets, with quotes and commas that a reader of the file has to cope with.
_TARGETS = [
    ("NGC 1001", 'The "hidden" nucleus of a quiet galaxy'),
    ("Abell 9", "Merging clusters, cold fronts, and what they tell"),
    ("RX J0000.0+0000", 'Is it "X-ray dim", or merely far?'),
    ("SNR 400", "Ejecta, shocks and a neutron star"),
    ("GX 1000-4", "Transient burst monitoring"),
    ("HD 1", "Coronae of nearby stars"),
]
_OBSERVERS = ["Dr. A. Simulated", "Prof. Bea Nobody, Jr.", 'Dr. Cee "Cy" Random', "Calibration"]
_SIM_Z = {"ACIS-S": -190.1425, "ACIS-I": -233.5924, "HRC-I": 126.9829, "HRC-S": 250.4559, "NONE": -99.6161}

_Value = str | int | float | None
_Parameter = tuple[str, str, _Value]


def _parameters(observation: Observation, revision: int, seed: int) -> Iterator[_Parameter]:
    """Name, type (s string, i integer, r real) and value of each parameter; None is an empty value."""
    # Not by revision: another processing does not change what was observed.
    rng = generator(seed, observation.obsid, 14)
    instrument, _, ccds = observation.detector.partition("-")
    acis, hrc = instrument == "ACIS", instrument == "HRC"
    # The aim point is on the I array if CCD 0 is on.
    detector = f"ACIS-{'I' if '0' in ccds else 'S'}" if acis else observation.detector
    target, title = _TARGETS[rng.integers(len(_TARGETS))] if acis or hrc else ("NONE", "Engineering")
    cycle = max(1, int((observation.tstart - 5e7) / 31.5576e6) + 1)
    calibration = bool(rng.random() < 0.1)
    off_y, off_z, off_roll = rng.normal(0, 0.01, 3).tolist()
    duration = observation.tstop - observation.tstart
    sim_offset = round(rng.normal(0, 0.3), 4)

    yield "title", "s", title
    yield "observer", "s", _OBSERVERS[rng.integers(len(_OBSERVERS))]
    yield "ao", "s", f"{cycle:02d}"
    yield "object", "s", target
    yield "ss-object", "s", "NONE"
    yield "obs_id", "s", str(observation.obsid)
    yield "obi_num", "i", 0
    yield "seq_num", "s", str(rng.integers(100000, 900000))
    yield "instrume", "s", instrument
    yield "grating", "s", "HETG" if rng.random() < 0.1 else "NONE"
    yield "detector", "s", detector
    yield "detnam", "s", observation.detector
    yield "si_mode", "s", f"TE_{rng.integers(0x100, 0x1000):03X}A" if acis else "NONE"
    yield "optical_monitor", "s", "N"
    yield "raster_scan", "s", "N"
    yield "dither", "s", "Y"
    # The amplitude (degrees) and the periods, as degrees of phase per second, of the simulated telemetry.
    for axis, frequency in (("y", 0.36), ("z", 0.509)):
        yield f"dither_{axis}_amp", "r", 0.002222
        yield f"dither_{axis}_freq", "r", frequency
        yield f"dither_{axis}_phase", "r", 0.0
    for constraint in ("phase", "roll", "window"):
        yield f"{constraint}_constraint", "s", "Y" if rng.random() < 0.1 else "N"
    yield "time_critical", "s", "N"
    yield "phase_period", "r", None
    yield "phase_epoch", "r", None
    yield "phase_start", "r", None
    yield "phase_end", "r", None
    windows = int(rng.integers(0, 3))
    yield "num_windows", "i", windows
    for i in (1, 2):
        given = i <= windows
        yield f"window_start_{i}", "r", round(observation.tstart - 86400.0 * i, 3) if given else None
        yield f"window_stop_{i}", "r", round(observation.tstop + 86400.0 * i, 3) if given else None
    yield "roll_tolerance", "r", None if rng.random() < 0.8 else 5.0
    yield "uninterrupted", "s", "N"
    yield "pre_id", "s", "NONE"
    yield "pre_min_lead", "r", None
    yield "pre_max_lead", "r", None
    yield "seg_max_num", "i", 0
    for kind, (y, z, roll) in {
        "pnt": (0.0, 0.0, 0.0),
        "nom": (1e-4 * off_y, 1e-4 * off_z, 0.0),
        "targ": (off_y, off_z, off_roll),
    }.items():
        yield f"ra_{kind}", "r", round((observation.ra + y) % 360, 12)
        yield f"dec_{kind}", "r", round(observation.dec + z, 12)
        yield f"roll_{kind}", "r", round((observation.roll + roll) % 360, 12)
    yield "y_det_offset", "r", round(off_y, 6)
    yield "z_det_offset", "r", round(off_z, 6)
    yield "radial_offset", "r", 0.0
    yield "defocus", "r", round(rng.normal(0, 1e-3), 12)
    yield "sim_x", "r", round(-0.6828 + rng.normal(0, 1e-4), 12)
    yield "sim_y", "r", 0.0
    yield "sim_z", "r", round(_SIM_Z[detector] + sim_offset, 4)
    yield "sim_x_offset", "r", 0.0
    yield "sim_z_offset", "r", sim_offset
    yield "foc_len", "r", 10070.0
    yield "date-obs", "s", times.utc(observation.tstart)
    yield "date-end", "s", times.utc(observation.tstop)
    yield "tstart", "r", observation.tstart
    yield "tstop", "r", observation.tstop
    yield "sched_start", "r", round(observation.tstart - 45, 3)
    yield "sched_stop", "r", round(observation.tstop + 20, 3)
    yield "sched_exp_time", "r", round(duration, -2)
    yield "obs_mode", "s", "POINTING"
    yield "maneuver", "s", "N"
    yield "maneuver_ref", "s", ""
    for name in ("v1", "v2", "v3", "angle"):
        yield f"maneuver_{name}", "r", None
    yield "mission", "s", "AXAF"
    yield "telescop", "s", "CHANDRA"
    yield "creator", "s", "mica_lake.simulate"
    yield "calibration", "s", "Y" if calibration else "N"
    yield "mjdref", "r", 50814.0
    yield "timezero", "r", 0.0
    yield "timesys", "s", "TT"
    yield "timeunit", "s", "s"
    yield "timversn", "s", "ASC-FITS-2.0"
    yield "datamode", "s", (("FAINT" if rng.random() < 0.6 else "VFAINT") if acis else "DEFAULT" if hrc else "NONE")
    yield "readmode", "s", "TIMED" if acis else "NONE"
    for number in range(10):
        name = f"ccd{'i' if number < 4 else 's'}{number % 4 if number < 4 else number - 4}_on"
        yield name, "s", "Y" if acis and str(number) in ccds else "N"
    if acis:
        yield from _acis(bool(rng.random() < 0.2))
    if hrc:
        yield from _hrc(observation.detector)
    yield "mt_a", "r", 1e-7
    yield "mt_aop", "r", round(rng.uniform(0, 360), 6)
    yield "mt_e", "r", 0.78
    yield "mt_epoch", "r", round(observation.tstart - 3e5, 3)
    yield "mt_i", "r", 0.0
    yield "mt_ma", "r", None
    yield "mt_raan", "r", None
    yield "obspar_type", "s", "ACTUAL"
    yield "obspar_stat", "s", "NEW" if revision == observation.revisions[0] else "UPDATED"
    yield "obspar_ver", "i", revision
    yield "revision", "i", revision


def _acis(subarray: bool) -> Iterator[_Parameter]:
    """The parameters that only ACIS has."""
    yield "onchip_sum", "s", "N"
    yield "sumrow", "i", 1
    yield "sumcol", "i", 1
    yield "subarray", "s", "CUSTOM" if subarray else "NONE"
    yield "startrow", "i", 385 if subarray else None
    yield "rowcnt", "i", 256 if subarray else 1024
    yield "d_cyclic", "s", "N"
    yield "dtycycle", "i", 0
    yield "exptimea", "r", 0.8 if subarray else 3.2
    yield "exptimeb", "r", None
    yield "most_efficient", "s", "Y"
    yield "eventfilter", "s", "Y"
    yield "phamin", "i", 20
    yield "pharange", "i", 3750
    yield "biasrequest", "s", "N"
    yield "fep_mode", "s", "TE"
    yield "num_win_acis", "i", None


def _hrc(detector: str) -> Iterator[_Parameter]:
    """The parameters that only HRC has."""
    yield "spect_mode", "s", "N"
    yield "zero_block", "s", "N"
    yield "hrc_timing_mode", "s", "N"
    yield "my_start", "i", 4 if detector == "HRC-S" else None
    yield "my_count", "i", 8 if detector == "HRC-S" else None
    yield "trigger_level", "i", 8
    yield "range_switch_level", "i", 115 if detector == "HRC-I" else 125
    yield "antico_enable", "s", "Y" if detector == "HRC-I" else "N"
    yield "width_enable", "s", "Y"
    yield "width_threshold", "i", 2
    yield "uld_enable", "s", "Y"
    yield "uld_level", "i", 255
    yield "blank_enable", "s", "N"
    for edge in ("u", "v"):
        yield f"blank_{edge}_low", "i", None
        yield f"blank_{edge}_high", "i", None
    yield "shutter_pos", "r", 0.0


def _line(name: str, kind: str, value: _Value) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    shown = quoted(str(value)) if kind == "s" else "" if value is None else repr(value)
    return f"{name},{kind},h,{shown},,,{quoted(name.replace('_', ' ').capitalize())}\n"


def _name(observation: Observation, revision: int) -> str:
    return f"axaff{observation.obsid:05d}_000N{revision:03d}_obs0a.par.gz"


def write_obspar(ska: Path, observation: Observation, revision: int, *, seed: int = 0) -> Path:
    """Write the parameters of one revision of an observation.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names. The file in data/mica/archive/obspar/OO/OOOOO_vRR below it is written or replaced.
    observation : Observation
        The observation, as `mica_lake.simulate.observations.observations` gives it.
    revision : int
        One of its revisions.
    seed : int
        What is written depends only on the seed, the observation and the revision.

    Returns
    -------
    Path
        The file: gzipped lines of name, type, mode, value, minimum, maximum and prompt, of some 105 to 125
        parameters. ACIS and HRC each have some of their own.

    Raises
    ------
    ValueError
        If the observation has no such revision.

    Examples
    --------
    >>> import gzip
    >>> from mica_lake.simulate import obspar
    >>> from mica_lake.simulate.observations import observations
    >>> path = obspar.write_obspar(getfixture("tmp_path"), observations(7e8, 7e8 + 1)[0], 2)
    >>> path.name
    'axaff43476_000N002_obs0a.par.gz'
    >>> gzip.decompress(path.read_bytes()).decode().splitlines()[5]
    'obs_id,s,h,"43476",,,"Obs id"'
    """
    directory = revision_folder(Path(ska) / "data/mica/archive/obspar", observation, revision)
    text = "".join(_line(*parameter) for parameter in _parameters(observation, revision, seed))
    return write(directory / _name(observation, revision), gzip.compress(text.encode(), mtime=0))


def write_archive(ska: Path, observations: Sequence[Observation], *, seed: int = 0) -> list[Path]:
    """Write the parameters of observations, all revisions, with links and the table of files.

    Parameters
    ----------
    ska : Path
        The folder that $SKA names.
    observations : sequence of Observation
        The observations. The table archfiles of data/mica/archive/obspar/archfiles.db3 lists these and no others.
    seed : int
        As in `write_obspar`.

    Returns
    -------
    list of Path
        The files, sorted.

    Examples
    --------
    >>> from mica_lake.simulate import obspar
    >>> from mica_lake.simulate.observations import observations
    >>> [p.parent.name for p in obspar.write_archive(getfixture("tmp_path"), observations(7e8, 7e8 + 20000))]
    ['27379_v01', '27379_v02', '43476_v02']
    """
    top = Path(ska) / "data/mica/archive/obspar"
    paths, rows = [], []
    for observation in observations:
        for revision in observation.revisions:
            paths.append(write_obspar(ska, observation, revision, seed=seed))
            rows.append(
                {
                    "filename": paths[-1].name,
                    "obsid": observation.obsid,
                    "tstart": observation.tstart,
                    "tstop": observation.tstop,
                    "revision": revision,
                    "content": "OBSPAR",
                    "isdefault": 1 if revision == observation.default else None,
                    "detnam": observation.detector,
                }
            )
        link_revisions(top, observation)
    write_database(top / "archfiles.db3", "archfiles", _TABLE, rows)
    return sorted(paths)


def write_days(days: Days, progress: Callable[[int], None]) -> list[Path]:
    """Write the parameters of the observations of some days."""
    return write_archive(days.ska, days.observations)
