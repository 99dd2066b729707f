"""Residuals of a guide star.

How far the centroids of a slot are from where the aspect solution puts the star. `mica-lake vv 32461` prints the
numbers for all slots.
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
    figure = get_arch_vv(32461).plot_slot(4)
    figure.savefig("vv_residuals.gif", dpi=64)
    figure
    return


if __name__ == "__main__":
    app.run()
