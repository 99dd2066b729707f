"""What tables `acq_model` and `guide_model` have in common: how probable it is that a star is acquired or tracked."""

import pyarrow as pa

from mica_lake.tables.table import Column, Table

#: The terms of each model: the logarithm of the odds is the sum of these times their coefficients.
TERMS = {
    "warm_fraction": ("1", "mag", "mag * mag", "warm_fraction", "warm_fraction * mag"),
    "ccd_temp": ("1", "mag", "mag * mag", "ccd_temp", "ccd_temp * mag", "year"),
}
#: From each quantity this is subtracted, and it is divided by that, before it is in a term.
SCALES = {"mag": (10.0, 1.0), "warm_fraction": (0.1, 0.1), "ccd_temp": (-15.0, 10.0), "year": (2012.0, 10.0)}
#: What a model of so many terms needs: so many stars with each outcome for each of them.
OUTCOMES_A_TERM = 10
#: The fraction of the samples in which a star was tracked well.
GOOD_TRACK = 0.95


def quantities(model: str) -> tuple[str, ...]:
    """The quantities that a model depends on."""
    return ("mag", "warm_fraction") if model == "warm_fraction" else ("mag", "ccd_temp", "year")


def model_table(name: str, source: str, outcome: str) -> Table:
    """A table of the models that are fitted to a table of statistics."""

    def column(name: str, type_: pa.DataType, meaning: str, unit: str = "") -> Column:
        return Column(name, type_, unit, meaning, source)

    listed = pa.list_(pa.float64())
    return Table(
        name,
        (),
        (
            column("model", pa.string(), f"what it depends on, beside magnitude: {' or '.join(TERMS)} (with year)"),
            column("terms", pa.list_(pa.string()), "terms of the logarithm of the odds, scaled as docs/stats.md says"),
            column("coefficients", listed, "their coefficients"),
            column(
                "covariance",
                listed,
                "covariance of the coefficients, row after row; stars of an obsid are not independent",
            ),
            column("quantities", pa.list_(pa.string()), "what the terms are made of"),
            column("low", listed, "the least value of each among the stars"),
            column("high", listed, "the greatest"),
            column("n", pa.int32(), "how many stars it was fitted to"),
            column("n_success", pa.int32(), f"how many of them were {outcome}"),
            column("n_obsids", pa.int32(), "of how many observations they were"),
            column("tstart", pa.float64(), "time of the first, CXC seconds", "s"),
            column("tstop", pa.float64(), "time of the last, CXC seconds", "s"),
        ),
        row_group_rows=1024,
        time="tstart",
        searched=(),
        order=("model",),
        definitions=f"{TERMS} {SCALES} {OUTCOMES_A_TERM} {GOOD_TRACK}",
    )
