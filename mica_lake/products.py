"""
The products of the lake: the one list from which every other is derived.

A product's files have its name: ``mica_lake/tables/NAME.py`` (its tables), ``ingest/NAME.py``, ``sql/NAME.sql``,
``mica_lake/simulate/NAME.py``, ``docs/NAME.md``. CONTRIBUTING.md has the recipe for a new one. Nothing heavy is
imported here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """
    What `mica-lake ingest` takes: files of one kind, or tables that are derived from another product's.

    Attributes
    ----------
    name : str
        Its name.
    title : str
        Its name in full, for people.
    folder : str
        Where its files are, below ``$SKA``, or the one file that it has; empty for a derived product.
    files : str
        What its files are called, for messages.
    follows : str
        The product from whose tables it is derived, or whose tables its own depend on: it is brought up to date in the
        same commit.
    shared : str
        The name of its SQL, simulator and documentation, if it shares them with other products.
    package : str
        The Python package with the modules ``tables.NAME``, ``ingest.NAME``, ``simulate.NAME``,
        and ``sql/NAME.sql``.
    """

    name: str
    title: str
    folder: str = ""
    files: str = ""
    follows: str = ""
    shared: str = ""
    package: str = "mica_lake"

    @property
    def described_in(self) -> str:
        """The name of its SQL, simulator and documentation."""
        return self.shared or self.name


#: In the order in which they are ingested.
PRODUCTS = [
    Product("aca_l0", "ACA level 0", "data/mica/archive/aca0", "acaf*_img0.fits[.gz]"),
    Product("hdr3", "Header 3", follows="aca_l0"),
    Product("binned", "Statistics over time", follows="aca_l0"),
    Product("dark_cal", "Dark current", "data/mica/archive/aca_dark", "YYYYDOY/image.fits and YYYYDOY/properties.json"),
    Product("obspar", "Observation parameters", "data/mica/archive/obspar", "OO/OOOOO_vRR/axaff*_obs0a.par[.gz]"),
    Product("asp_l1", "Aspect level 1", "data/mica/archive/asp1", "OO/OOOOO_vRR/pcad*.fits[.gz]"),
    Product("acq_stats", "Acquisition statistics", "data/acq_stats", "acq_stats.h5", shared="stats"),
    Product("guide_stats", "Guide statistics", "data/guide_stats", "guide_stats.h5", shared="stats"),
    Product("acq_model", "Models of acquisition", follows="acq_stats", shared="stats"),
    Product("guide_model", "Models of tracking", follows="guide_stats", shared="stats"),
    Product(
        "vv",
        "Verification and validation",
        "data/mica/archive/vv",
        "OO/OOOOO_vRR/vv_report.json and vv.h5",
        follows="asp_l1",
    ),
    Product(
        "starcheck",
        "Load reviews",
        "data/mica/archive/starcheck",
        "starcheck.db3, YYYY/MMMDDYY/oflsX/starcheck.txt and observations.csv",
    ),
    Product("aca0_list", "ACA level 0 of the archive", "data/mica/archive/aca0/cda_aca0.h5", "cda_aca0.h5"),
    Product("ocat", "Observing catalog", "data/mica/archive/ocat_target_table.h5", "ocat_target_table.h5"),
]


def product_named(name: str) -> Product:
    """The product of a name."""
    return next(product for product in PRODUCTS if product.name == name)
