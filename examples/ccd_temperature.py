"""Temperature of the CCD over twenty days.

Header 3 carries it in the 8x8 readouts of slot 6. Each point is a readout; grey bands mark where slot 6 had no 8x8
images for more than an hour. Values from incomplete headers are masked, and not drawn.
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

    from mica_lake.archive import aca_hdr3

    matplotlib.rcParams["date.converter"] = "concise"
    return Figure, Time, aca_hdr3, np


@app.cell
def _(aca_hdr3):
    ccd_temp = aca_hdr3.MSID("ccd_temp", "2024:001", "2024:021", filter_bad=True)
    return (ccd_temp,)


@app.cell
def _(Time, ccd_temp, np):
    edges = np.concatenate([[ccd_temp.tstart], ccd_temp.times, [ccd_temp.tstop]])
    (before,) = np.nonzero(np.diff(edges) > 3600)
    dates = Time(ccd_temp.times, format="cxcsec").utc.datetime64
    begin, end = (Time(edges[at], format="cxcsec").utc.datetime64 for at in (before, before + 1))
    return begin, dates, end


@app.cell
def _(Figure, begin, ccd_temp, dates, end):
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (left, right) in enumerate(zip(begin, end, strict=True)):
        axes.axvspan(left, right, color="0.92", lw=0, label="_" if number else "no 8x8 images in slot 6")
    axes.plot(dates, ccd_temp.vals, ".", ms=1.5, color="#0072B2")
    axes.set(xlabel="date (UTC)", ylabel="CCD temperature (°C)", title="Header 3: ccd_temp")
    axes.margins(x=0.01)
    figure.legend(loc="outside lower right", frameon=False, fontsize="small")
    figure.savefig("ccd_temperature.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
