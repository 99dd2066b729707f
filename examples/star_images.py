"""A star moves over its pixels.

Thirty-five seconds of slot 2, one image per readout. Rows and columns are those of the CCD, and the window follows the
star.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    import numpy as np
    from astropy.time import Time
    from matplotlib import colormaps
    from matplotlib.animation import FuncAnimation
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    from mica_lake.archive import aca_l0

    return Figure, FuncAnimation, LogNorm, Time, aca_l0, colormaps, np


@app.cell
def _(aca_l0):
    images = aca_l0.get_l0_images("2024:004:12:00:00", "2024:004:12:00:35", slot=2)
    return (images,)


@app.cell
def _(Figure, FuncAnimation, LogNorm, Time, colormaps, images, np):
    figure = Figure(figsize=(3.6, 3.2), dpi=68, layout="constrained")
    axes = figure.subplots()
    low, high = np.percentile(images, [2, 99.5])
    size = images[0].shape[0]
    drawn = axes.imshow(
        images[0], norm=LogNorm(max(low, 1), high, clip=True), cmap=colormaps["cividis"].resampled(20), origin="lower"
    )
    axes.set(xlabel="CCD column (pixel)", ylabel="CCD row (pixel)")
    figure.colorbar(drawn, label="DN")

    def draw(image):
        drawn.set_data(image)
        # IMGROW0, IMGCOL0 is the lower left pixel; whole numbers are the centers of pixels.
        left, below = image.col0 - 0.5, image.row0 - 0.5
        drawn.set_extent((left, left + size, below, below + size))
        axes.set_title(f"slot 2, {Time(image.TIME, format='cxcsec').utc.yday[:17]} UTC", fontsize="medium")

    FuncAnimation(figure, draw, images, interval=400).save("star_images.gif", writer="pillow")
    figure
    return


if __name__ == "__main__":
    app.run()
