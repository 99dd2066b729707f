"""Warm pixels, measured and modelled.

The fraction of pixels above 100 e-/s in each dark current calibration, at its CCD temperature, and by the model of
`mica_lake.archive.aca_dark.dark_model`; then five years more at the last temperature. The band is the spread of the
past residuals: their mean and standard deviation.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    import matplotlib
    import numpy as np
    from astropy.time import Time
    from matplotlib.figure import Figure

    from mica_lake import Lake
    from mica_lake.archive.aca_dark.dark_model import get_warm_fracs

    matplotlib.rcParams["date.converter"] = "concise"
    return Figure, Lake, Time, get_warm_fracs, np


@app.cell
def _(Lake, get_warm_fracs, np):
    warm = Lake().sql("SELECT time, ccd_temp, measured, modelled, residual FROM warm_fraction_by_dark_cal").pl()
    last = warm.row(-1, named=True)
    ahead = last["time"] + np.arange(0, 5.01, 0.25) * 365.25 * 86400
    predicted = get_warm_fracs(100, ahead, last["ccd_temp"])
    offset, spread = warm["residual"].mean(), warm["residual"].std()
    return ahead, last, offset, predicted, spread, warm


@app.cell
def _(Figure, Time, ahead, last, offset, predicted, spread, warm):
    def dates(times):
        return Time(times, format="cxcsec").utc.datetime64

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    axes.plot(dates(warm["time"]), 100 * warm["measured"], "o", ms=4, color="#0072B2", label="measured")
    axes.plot(dates(warm["time"]), 100 * warm["modelled"], "x", ms=5, color="#D55E00", label="model")
    axes.plot(dates(ahead), 100 * predicted, color="#D55E00", label=f"model at {last['ccd_temp']:.1f} °C")
    low, high = (100 * (predicted + offset + sign * spread) for sign in (-1, 1))
    axes.fill_between(dates(ahead), low, high, color="0.85", label="spread of past residuals")
    axes.set(ylabel="pixels above 100 e-/s (%)", title="Warm pixels, measured and modelled")
    axes.legend(frameon=False)
    below.plot(dates(warm["time"]), 100 * warm["residual"], "o", ms=4, color="#0072B2")
    below.axhline(0, color="0.6", lw=0.8)
    below.set(xlabel="date (UTC)", ylabel="residual (%)")
    for each in (axes, below):
        each.grid(color="0.9")
    figure.savefig("warm_fraction.png", dpi=90)
    figure
    return


if __name__ == "__main__":
    app.run()
