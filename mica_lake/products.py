"""
The products of the lake: the one list, from which every other is derived.

A product's modules and documents have its name: ``mica_lake/tables/NAME.py`` (its tables), ``ingest/NAME.py``,
``sql/NAME.sql``, ``mica_lake/simulate/NAME.py``, ``docs/NAME.md``. Nothing heavy is imported here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """
    What `mica-lake ingest` takes: a kind of files, or tables that are derived from another product's.

    Attributes
    ----------
    name : str
        Its name.
    folder : str
        Where its files are, below ``$SKA``; empty for a derived product.
    files : str
        What its files are called, for messages.
    derived_from : str
        The product whose tables it is derived from; empty if it has files.
    package : str
        The Python package with its modules ``tables.NAME`` and ``ingest.NAME``, and its ``sql/NAME.sql``.
    """

    name: str
    folder: str = ""
    files: str = ""
    derived_from: str = ""
    package: str = "mica_lake"


#: In the order in which they are ingested.
PRODUCTS = [
    Product("aca_l0", "data/mica/archive/aca0", "acaf*_img0.fits[.gz]"),
    Product("hdr3", derived_from="aca_l0"),
    Product("dark_cal", "data/mica/archive/aca_dark", "YYYYDOY/image.fits and YYYYDOY/properties.json"),
    Product("obspar", "data/mica/archive/obspar", "OO/OOOOO_vRR/axaff*_obs0a.par[.gz]"),
    Product("asp_l1", "data/mica/archive/asp1", "OO/OOOOO_vRR/pcad*.fits[.gz]"),
    Product("acq_stats", "data/acq_stats", "acq_stats.h5"),
    Product("guide_stats", "data/guide_stats", "guide_stats.h5"),
    Product("vv", "data/mica/archive/vv", "OO/OOOOO_vRR/vv_report.json and vv.h5"),
]
