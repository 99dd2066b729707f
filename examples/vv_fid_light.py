"""Residuals of a fid light.

How far the centroids of a fid light are from where the aspect solution puts it, against time, and the smoothed angle
itself. `mica-lake vv 32461 --plots FOLDER` plots every panel of every slot.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    from mica_lake.vv import get_arch_vv

    return (get_arch_vv,)


@app.cell
def _(get_arch_vv):
    figure = get_arch_vv(32461).plot_slot(1, singles=True)["slot_1_y"]
    figure.savefig("vv_fid_light.gif", dpi=64)
    figure
    return


if __name__ == "__main__":
    app.run()
