"""What the columns of views mean that no table has under this name; those of `mica_lake.tables.catalog`, too."""

from mica_lake.tables.vv import VV_RMS

_ACQUIRED = {"n": "stars", "n_acquired": "how many of them were acquired", "fraction": "n_acquired / n"}
_STATUS = {
    "filename": "the source file",
    "status": "current, superseded, refused, set aside, wanted or incomplete",
    "reason": "why it has this status",
    "directory": "its folder, as last seen by ingest",
}
_LIMIT = {"level": "bad, or warn: to be looked at", "limit": "the absolute value that is outside"}
_PLANNED = {"planned_obsid": "the observation that the catalog was planned for"}
#: View -> column -> meaning. A view that is made of another has that one's meanings.
OF_VIEWS: dict[str, dict[str, str]] = {
    "lake_objects": {
        "name": "name of the view or macro",
        "kind": "view, table macro (after FROM, with arguments) or macro (in an expression)",
        "arguments": "its arguments, those with := may be left out",
        "gives": "what it gives",
        "example": "a query with it",
    },
    "lake_columns": {
        "table_name": "the table or view",
        "column_name": "the column",
        "type": "its type in SQL",
        "unit": "its unit, empty if it has none",
        "meaning": "what it means",
        "rows": "what to say after FROM for the rows",
    },
    "source_file": _STATUS
    | {
        "product": "the product that it is of",
        "size": "bytes",
        "mtime_ns": "when it was changed, ns since 1970",
        "checksum": "SHA-256 of the file as it is stored",
        "slot": "the slot, of ACA level 0",
        "imgsize": "rows and columns of an image, of ACA level 0",
        "revision": "revision of the file",
        "tstart": "start of its header, CXC seconds (s)",
        "tstop": "stop of its header, CXC seconds (s)",
        "startmjf": "first major frame",
        "startmnf": "first minor frame",
        "stopmjf": "last major frame",
        "stopmnf": "last minor frame",
        "tlmver": "version of the telemetry",
        "ascdsver": "version of the software that wrote it",
        "date": "when it was made, by its header",
        "rows": "rows that it has",
    },
    "file_to_look_at": _STATUS,
    "partition": {
        "table_name": "the table",
        "year": "year of its rows",
        "doy": "day of the year, 1 of a table by year",
        "slot": "the slot, of a table by slot",
        "day_number": "days since 1998-01-01",
        "path": "the file, below the lake",
        "rows": "rows",
        "bytes": "size of the file",
        "tstart": "time of the first row, CXC seconds (s)",
        "tstop": "time of the last row, CXC seconds (s)",
        "files": "source files that it was made from",
        "derived_from": "of a table made from another, a checksum of what it was made from",
        "definition": "a checksum of what its values mean",
    },
    "status": {
        "table_name": "the table",
        "partitions": "partitions",
        "files": "source files of the product",
        "rows": "rows",
        "bytes": "size of the partitions",
        "start": "UTC date of the first row",
        "stop": "UTC date of the last row",
        "days": "days with rows, of a table by day",
        "span": "days from the first to the last of these",
    },
    "aca_l0_missing": {"day": "UTC day of its start", "filesize": "bytes"},
    "aca0_list": {"filesize": "bytes"},
    "hdr3_msid": {"name": "name of the pseudo-MSID", "id": "its id", "unit": "its unit", "description": "what it is"},
    "acq_success_by_mag": _ACQUIRED | {"mag": "catalog magnitude, the brightest of a bin of half a magnitude"},
    "acq_success_by_ccd_temp": _ACQUIRED | {"ccd_temp": "temperature of the CCD, the coldest of a bin (degC)"},
    "starcheck_id": {"sc_id": "number of the load in mica, from 0"},
    "star_catalog": _PLANNED,
    "monitor_window": {"mp_starcat_date": "date of the star catalog", "dir": "folder of the load"},
    "vv_limit": _LIMIT | {"fid": "whether it is for fid lights", "name": "the column of vv_rms"},
    "vv_outside": _LIMIT | {"name": "the column of vv_rms", "value": "its value"},
    "vv_rms": {"isdefault": "whether this revision is the released one"},
    "vv_slot": {
        **{column.name: column.with_unit for column in VV_RMS.columns if column.name != "isdefault"},
        "id_status": "status of the identification, of the star's properties",
        "cel_loc_flag": "whether it was used for the aspect solution, of a star",
        "enc_rad1": "68 % of the centroids are nearer to the expected place (arcsec)",
        "enc_rad2": "95 % of the centroids are nearer to the expected place (arcsec)",
        "frac_dr_big": "fraction of the centroids whose distance is more than 0.7 arcsec from its median",
        **{f"{of}_n_samples": f"good samples of {of}" for of in ("dr", "dy", "dz", "mag")},
        **{f"{of}_bad_samples": f"bad samples of {of}" for of in ("dr", "dy", "dz", "mag")},
    },
    "warm_fraction_by_dark_cal": {
        "measured": "fraction of the pixels above 100 e-/s",
        "modelled": "the same by the dark current model",
        "residual": "measured - modelled",
    },
}
