"""How hard the cooler works.

The level of the DAC that powers the thermoelectric cooler (TEC), against how much colder the CCD is than the camera.
The three pseudo-MSIDs of the set share one time axis, that of the 8x8 readouts of slots 6 and 7.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    from matplotlib.figure import Figure

    from mica_lake.archive import aca_hdr3

    return Figure, aca_hdr3


@app.cell
def _(aca_hdr3):
    perigee = aca_hdr3.MSIDset(["ccd_temp", "aca_temp", "dac"], "2024:001", "2024:021")
    colder = perigee["aca_temp"].vals - perigee["ccd_temp"].vals
    return colder, perigee


@app.cell
def _(Figure, colder, perigee):
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(colder, perigee["dac"].vals, ".", ms=2, color="#0072B2")
    axes.set(xlabel="ACA temperature - CCD temperature (°C)", ylabel="TEC DAC control level (counts)")
    axes.grid(color="0.9")
    figure.savefig("tec_power.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
