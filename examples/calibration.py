"""Acquisition, predicted and observed.

Stars in ten groups by the probability that a model gives them, which was fitted to the other half of the observations;
and the fraction of each group that was acquired, with its interval of 90 %. A model that is right has them on the line.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    from matplotlib.figure import Figure

    from mica_lake.stats.predict import acq_model, calibration

    return Figure, acq_model, calibration


@app.cell
def _(acq_model, calibration):
    found = calibration("acq_model", "ccd_temp", bins=10)
    model = acq_model("ccd_temp")
    return found, model


@app.cell
def _(Figure, found, model):
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.6", lw=0.8)
    left.vlines(found["predicted"], found["low"], found["high"], color="#0072B2")
    left.plot(found["predicted"], found["observed"], "o", ms=4, color="#0072B2")
    left.set(xlabel="predicted probability", ylabel="fraction acquired", title="Predicted and observed")
    low, high = model.ranges["ccd_temp"]
    temperatures = [low + (high - low) * step / 40 for step in range(41)]
    limit = model.limiting_mag(0.5, t_ccd=temperatures, date=model.tstop)
    right.fill_between(temperatures, limit.low, limit.high, color="0.85")
    right.plot(temperatures, limit.value, color="#D55E00")
    right.invert_yaxis()
    right.set(xlabel="CCD temperature (°C)", ylabel="magnitude", title="Half of the stars are acquired")
    for axes in (left, right):
        axes.grid(color="0.9")
    figure.savefig("calibration.png", dpi=90)
    figure
    return


if __name__ == "__main__":
    app.run()
