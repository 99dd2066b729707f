"""Which stars are acquired.

The fraction of stars acquired, by magnitude and by CCD temperature, with 68 % confidence intervals (Wilson); below, the
numbers of stars.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    import numpy as np
    from matplotlib.figure import Figure

    from mica_lake import Lake

    return Figure, Lake, np


@app.cell
def _(Lake):
    lake = Lake()
    by_mag = lake.sql("SELECT mag + 0.25 AS middle, n, n_acquired FROM acq_success_by_mag").pl()
    by_temp = lake.sql("SELECT ccd_temp + 0.5 AS middle, n, n_acquired FROM acq_success_by_ccd_temp").pl()
    return by_mag, by_temp


@app.cell
def _(np):
    def wilson(k, n):
        """Lower and upper bound of a fraction, one standard deviation."""
        p, spread = k / n, np.sqrt(k * (n - k) / n + 0.25)
        return (n * p + 0.5 - spread) / (n + 1), (n * p + 0.5 + spread) / (n + 1)

    return (wilson,)


@app.cell
def _(Figure, by_mag, by_temp, wilson):
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=[2.4, 1])
    for (fraction, count), rows, width, label in (
        (panels[:, 0], by_mag, 0.5, "magnitude (mag)"),
        (panels[:, 1], by_temp, 1.0, "CCD temperature (°C)"),
    ):
        x, n, k = (rows[name].to_numpy() for name in ("middle", "n", "n_acquired"))
        lower, upper = wilson(k, n)
        fraction.vlines(x, lower, upper, color="#0072B2")
        fraction.plot(x, k / n, "o", ms=5, color="#0072B2")
        fraction.grid(color="0.9")
        count.bar(x, n, 0.9 * width, color="0.6")
        count.set(xlabel=label, yscale="log")
    panels[0, 0].set(ylabel="fraction acquired", ylim=(0, 1.05))
    panels[1, 0].set_ylabel("stars")
    figure.savefig("acquisition.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
