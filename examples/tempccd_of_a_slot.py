"""TEMPCCD of a slot, whatever the image size.

The telemetry of 4x4 images has no TEMPCCD: their readouts are in the answer, with the value masked. There is no need to
know about image sizes to ask for a day.
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

    from mica_lake.archive import aca_l0

    matplotlib.rcParams["date.converter"] = "concise"
    return Figure, Time, aca_l0, np


@app.cell
def _(Time, aca_l0):
    data = aca_l0.get_slot_data("2024:004", "2024:005", slot=6, columns=["TIME", "TEMPCCD", "IMGSIZE"])
    dates = Time(data["TIME"], format="cxcsec").utc.datetime64
    return data, dates


@app.cell
def _(Figure, data, dates, np):
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    four = data["IMGSIZE"] == 4
    axes.fill_between(
        dates, 0, 1, where=np.asarray(four), transform=axes.get_xaxis_transform(), color="0.9", lw=0,
        label=f"4x4: {four.sum():,} readouts without",
    )  # fmt: skip
    for size, color, marker in ((6, "#D55E00", "+"), (8, "#0072B2", ".")):
        of_size = np.asarray(data["IMGSIZE"] == size)
        celsius = data["TEMPCCD"][of_size].astype(float) - 273.15
        label = f"{size}x{size}: {of_size.sum():,} readouts"
        axes.plot(dates[of_size], celsius, marker, ms=3, ls="", color=color, label=label)
    axes.set(xlabel="time (UTC)", ylabel="TEMPCCD (°C)", title="CCD temperature in slot 6")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    figure.savefig("tempccd_of_a_slot.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
