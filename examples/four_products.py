"""Four products in one query.

For each observation: how warm the CCD was (ACA level 0), how much the roll varied (aspect solution), how many stars
were acquired (statistics), and which instrument was used (observation parameters). One SQL statement.
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
def _(Lake):
    observations = (
        Lake()
        .sql(
            """
            WITH
            observation AS (
                SELECT obsid, detector, tstart, tstop FROM obspar WHERE islast
            ),
            temperature AS (
                SELECT obsid, avg(TEMPCCD) - 273.15 AS celsius
                FROM slot_data($start, $stop, 6)
                JOIN observation ON TIME BETWEEN tstart AND tstop
                GROUP BY obsid
            ),
            solution AS (
                SELECT obsid, stddev(roll) * 3600 AS roll_arcsec FROM asp_sol($start, $stop) GROUP BY obsid
            ),
            star AS (
                SELECT obsid, count(*) FILTER (acqid) AS acquired, count(*) AS stars
                FROM acq_stats
                WHERE NOT known_bad
                GROUP BY obsid
            )
            SELECT observation.*, celsius, roll_arcsec, acquired, stars
            FROM observation
            LEFT JOIN temperature USING (obsid)
            LEFT JOIN solution USING (obsid)
            LEFT JOIN star USING (obsid)
            WHERE tstart < cxcsec($stop) AND tstop > cxcsec($start)
            ORDER BY tstart
            """,
            {"start": "2024:004", "stop": "2024:005"},
        )
        .pl()
    )
    print(observations)
    return (observations,)


@app.cell
def _(Figure, Time, observations):
    figure = Figure(figsize=(6.8, 4.4), layout="constrained")
    panels = figure.subplots(3, sharex=True)
    for row in observations.iter_rows(named=True):
        span = Time([row["tstart"], row["tstop"]], format="cxcsec").utc.datetime64
        for axes, name in zip(panels[:2], ("celsius", "roll_arcsec"), strict=True):
            if row[name] is not None:
                axes.plot(span, [row[name]] * 2, lw=3, color="#0072B2", solid_capstyle="butt")
        panels[2].bar(
            span[0], row["acquired"] or 0, span[1] - span[0], align="edge", color="#E69F00", edgecolor="white"
        )
        middle = span[0] + (span[1] - span[0]) / 2
        panels[2].text(middle, 0.3, f"{row['obsid']}\n{row['detector']}", ha="center", fontsize="small")
    panels[0].set_ylabel("mean CCD\ntemperature (°C)")
    panels[1].set_ylabel("roll, std. dev.\n(arcsec)")
    panels[2].set(ylabel="stars acquired", xlabel="time (UTC)")
    for axes in panels[:2]:
        axes.margins(y=0.2)
        axes.grid(color="0.9")
    figure.savefig("four_products.png", dpi=100)
    figure
    return


if __name__ == "__main__":
    app.run()
