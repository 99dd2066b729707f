"""What catalogs expect of their stars.

The stars of the catalogs that ran, by magnitude and share of warm pixels: the fraction that the load reviews expected
to be acquired, and the fraction that was. One SQL statement joins load reviews, commands and statistics.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    from matplotlib.figure import Figure

    from mica_lake import Lake

    return Figure, Lake


@app.cell
def _(Lake):
    query = """
        SELECT
            floor(mag * 4) / 4 + 0.125 AS mag,
            ntile AS third,
            100 * avg(n100_warm_frac) AS warm,
            avg(p_acq) AS predicted,
            avg(acqid::INTEGER) AS acquired
        FROM (SELECT *, ntile(3) OVER (ORDER BY n100_warm_frac) AS ntile FROM star_catalog_acq WHERE NOT known_bad)
        GROUP BY ALL
        HAVING count(*) >= 20
        ORDER BY ALL
    """
    stars = Lake().sql(query).pl()
    return (stars,)


@app.cell
def _(Figure, stars):
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    colors = "#0072B2", "#E69F00", "#D55E00"
    for (_, part), color in zip(stars.group_by("third", maintain_order=True), colors, strict=True):
        axes.plot(part["mag"], part["predicted"], color=color, lw=1)
        axes.plot(
            part["mag"], part["acquired"], "o", ms=4, color=color, label=f"{part['warm'].mean():.1f} % warm pixels"
        )
    axes.plot([], [], color="0.4", lw=1, label="predicted")
    axes.set(xlabel="magnitude (mag)", ylabel="fraction acquired", ylim=(0, 1.05), title="Stars of catalogs that ran")
    axes.grid(color="0.9")
    axes.legend(frameon=False)
    figure.savefig("catalog_stars.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
