"""Warm pixels over the mission.

The fraction of pixels above 100 e-/s in each dark current calibration, as observed, and scaled to a CCD temperature of
-15 °C. One SQL statement counts them all.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    import matplotlib
    from astropy.time import Time
    from matplotlib.figure import Figure

    from mica_lake import Lake

    matplotlib.rcParams["date.converter"] = "concise"
    return Figure, Lake, Time


@app.cell
def _(Lake, Time):
    warm = Lake().sql("SELECT time, fraction, fraction_ref FROM warm_pixels(100, ref := -15) ORDER BY time").pl()
    dates = Time(warm["time"], format="cxcsec").utc.datetime64
    return dates, warm


@app.cell
def _(Figure, dates, warm):
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(dates, 100 * warm["fraction"], "o-", ms=4, color="#0072B2", label="as observed")
    axes.plot(dates, 100 * warm["fraction_ref"], "s--", ms=4, color="#D55E00", label="scaled to -15 °C")
    axes.set(xlabel="date (UTC)", ylabel="pixels above 100 e-/s (%)", title="Warm pixels")
    axes.set_ylim(0, None)
    axes.grid(color="0.9")
    axes.legend(frameon=False)
    figure.savefig("warm_pixels.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
