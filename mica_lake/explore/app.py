# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page, a marimo notebook: 'marimo run' shows it over the lake of $MICA_LAKE, 'mica-lake explore' over any."""

import marimo

app = marimo.App(width="medium", app_title="mica-lake")


@app.cell
def _():
    import marimo as mo

    from mica_lake.explore import ask, dark, observed, overview, shown, sql_box, stars, temperatures
    from mica_lake.explore.link import Link
    from mica_lake.explore.shown import answering
    from mica_lake.lake import Lake

    lake = Lake()
    link = Link(mo.query_params())
    return answering, ask, dark, lake, link, mo, observed, overview, shown, sql_box, stars, temperatures


@app.cell
def _(lake, link, mo, shown):
    _names = ("What is in it", "Ask", "SQL", "Temperatures", "Observation", "Star images", "V&V", "Dark current")
    tabs = mo.ui.tabs(
        dict.fromkeys(_names, ""), value=link.tab if link.tab in _names else _names[0], on_change=link.show
    )
    mo.vstack([mo.hstack([mo.md("### mica-lake"), shown.plain(str(lake.root))], justify="start", align="center"), tabs])
    return (tabs,)


@app.cell
def _(lake, link, mo, overview):
    tables = overview.tables(lake)
    _first = "aca_l0" if "aca_l0" in tables or not tables else tables[0]
    covered = mo.ui.dropdown(tables, value=_first if tables else None, label="table", allow_select_none=not tables)
    asked = mo.ui.dropdown(
        tables,
        value=link.given("Ask").chosen("table", tables, _first) if tables else None,
        label="table",
        allow_select_none=not tables,
    )
    return asked, covered


@app.cell
def _(answering, covered, lake, mo, overview, tabs):
    mo.stop(tabs.value != "What is in it")
    with answering() as _shown:
        _shown += [overview.status(lake), covered, overview.coverage(lake, covered.value)]
    mo.vstack(_shown)
    return


@app.cell
def _(ask, asked, lake, link, mo):
    form = ask.form(lake, asked.value, link.given("Ask", table=asked.value)) if asked.value else mo.md("")
    return (form,)


@app.cell
def _(asked, form, link, mo, shown, tabs):
    mo.stop(tabs.value != "Ask")
    mo.vstack([*link.complaints_for(shown.callout, "Ask"), asked, form])
    return


@app.cell
def _(answering, ask, asked, form, lake, link, mo, tabs):
    mo.stop(tabs.value != "Ask" or not asked.value)
    _question = link.question("Ask", form, table=asked.value)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += ask.answer(lake, asked.value, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(link, sql_box):
    sql_form = sql_box.form(link.given("SQL"))
    return (sql_form,)


@app.cell
def _(lake, link, mo, shown, sql_box, sql_form, tabs):
    mo.stop(tabs.value != "SQL")
    mo.vstack([*link.complaints_for(shown.callout, "SQL"), sql_form, sql_box.objects(lake)])
    return


@app.cell
def _(answering, lake, link, mo, sql_box, sql_form, tabs):
    mo.stop(tabs.value != "SQL")
    _question = link.question("SQL", sql_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += sql_box.answer(lake, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(lake, link, temperatures):
    temperatures_form = temperatures.form(lake, link.given("Temperatures"))
    return (temperatures_form,)


@app.cell
def _(link, mo, shown, tabs, temperatures_form):
    mo.stop(tabs.value != "Temperatures")
    mo.vstack([*link.complaints_for(shown.callout, "Temperatures"), temperatures_form])
    return


@app.cell
def _(answering, lake, link, mo, tabs, temperatures, temperatures_form):
    mo.stop(tabs.value != "Temperatures")
    _question = link.question("Temperatures", temperatures_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += temperatures.answer(lake, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(lake, link, observed):
    observation_form = observed.form(lake, link.given("Observation"))
    return (observation_form,)


@app.cell
def _(link, mo, observation_form, shown, tabs):
    mo.stop(tabs.value != "Observation")
    mo.vstack([*link.complaints_for(shown.callout, "Observation"), observation_form])
    return


@app.cell
def _(answering, lake, link, mo, observation_form, observed, tabs):
    mo.stop(tabs.value != "Observation")
    _question = link.question("Observation", observation_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += observed.answer(lake, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(lake, link, stars):
    star_form = stars.form(lake, link.given("Star images"))
    return (star_form,)


@app.cell
def _(link, mo, shown, star_form, tabs):
    mo.stop(tabs.value != "Star images")
    mo.vstack([*link.complaints_for(shown.callout, "Star images"), star_form])
    return


@app.cell
def _(answering, lake, link, mo, star_form, stars, tabs):
    mo.stop(tabs.value != "Star images")
    _question = link.question("Star images", star_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += stars.answer(lake, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(lake, link, observed):
    vv_form = observed.vv_form(lake, link.given("V&V"))
    return (vv_form,)


@app.cell
def _(link, mo, shown, tabs, vv_form):
    mo.stop(tabs.value != "V&V")
    mo.vstack([*link.complaints_for(shown.callout, "V&V"), vv_form])
    return


@app.cell
def _(answering, lake, link, mo, observed, tabs, vv_form):
    mo.stop(tabs.value != "V&V")
    _question = link.question("V&V", vv_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += observed.vv(lake, **_question)
    mo.vstack(_shown)
    return


@app.cell
def _(dark, lake, link):
    dark_form = dark.form(lake, link.given("Dark current"))
    return (dark_form,)


@app.cell
def _(dark_form, link, mo, shown, tabs):
    mo.stop(tabs.value != "Dark current")
    mo.vstack([*link.complaints_for(shown.callout, "Dark current"), dark_form])
    return


@app.cell
def _(answering, dark, dark_form, lake, link, mo, tabs):
    mo.stop(tabs.value != "Dark current")
    _question = link.question("Dark current", dark_form)
    mo.stop(_question is None)
    with answering() as _shown:
        _shown += dark.answer(lake, **_question)
    mo.vstack(_shown)
    return


if __name__ == "__main__":
    app.run()
