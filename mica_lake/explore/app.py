"""The page, a marimo notebook: 'marimo run' shows it over the lake of $MICA_LAKE, 'mica-lake explore' over any."""

import marimo

app = marimo.App(width="medium", app_title="mica-lake")


@app.cell
def _():
    import marimo as mo

    from mica_lake.explore import answers
    from mica_lake.explore.answers import caught
    from mica_lake.lake import Lake

    lake = Lake()
    return answers, caught, lake, mo


@app.cell
def _(answers, lake, mo):
    tabs = mo.ui.tabs(dict.fromkeys(("What is in it", "Ask", "Observation", "Star images", "V&V"), ""))
    mo.vstack([mo.hstack([mo.md("### mica-lake"), answers.plain(str(lake.root))], justify="start"), tabs])
    return (tabs,)


@app.cell
def _(answers, lake, mo):
    tables = answers.tables(lake)
    first = "aca_l0" if "aca_l0" in tables or not tables else tables[0]
    covered = mo.ui.dropdown(tables, value=first if tables else None, label="table")
    asked = mo.ui.dropdown(tables, value=first if tables else None, label="table")
    return asked, covered


@app.cell
def _(answers, caught, covered, lake, mo, tabs):
    mo.stop(tabs.value != "What is in it")
    with caught() as _shown:
        _shown += [answers.status(lake), covered, answers.coverage(lake, covered.value)]
    mo.vstack(_shown)
    return


@app.cell
def _(answers, asked, lake, mo):
    form = answers.form(lake, asked.value) if asked.value else mo.md("")
    return (form,)


@app.cell
def _(asked, form, mo, tabs):
    mo.stop(tabs.value != "Ask")
    mo.vstack([asked, form])
    return


@app.cell
def _(answers, asked, caught, form, lake, mo, tabs):
    mo.stop(tabs.value != "Ask" or not asked.value or form.value is None)
    with caught() as _shown:
        _shown += answers.answer(lake, asked.value, **form.value)
    mo.vstack(_shown)
    return


@app.cell
def _(answers, lake):
    observation_form = answers.observation_form(lake)
    return (observation_form,)


@app.cell
def _(mo, observation_form, tabs):
    mo.stop(tabs.value != "Observation")
    observation_form
    return


@app.cell
def _(answers, caught, lake, mo, observation_form, tabs):
    mo.stop(tabs.value != "Observation" or observation_form.value is None)
    with caught() as _shown:
        _shown += answers.an_observation(lake, **observation_form.value)
    mo.vstack(_shown)
    return


@app.cell
def _(answers, lake):
    star_form = answers.star_form(lake)
    return (star_form,)


@app.cell
def _(mo, star_form, tabs):
    mo.stop(tabs.value != "Star images")
    star_form
    return


@app.cell
def _(answers, caught, lake, mo, star_form, tabs):
    mo.stop(tabs.value != "Star images" or star_form.value is None)
    times = []
    with caught() as _shown:
        times, _note = answers.star_times(lake, **star_form.value)
        _shown.append(_note)
    mo.stop(not times, mo.vstack(_shown))
    slider = mo.ui.slider(0, len(times) - 1, full_width=True, label="readout", show_value=True)
    mo.vstack([*_shown, slider])
    return slider, times


@app.cell
def _(answers, caught, lake, mo, slider, star_form, times):
    with caught() as _shown:
        _shown += answers.star_image(lake, times[slider.value], star_form.value["slot"])
    mo.vstack(_shown)
    return


@app.cell
def _(answers, lake):
    vv_form = answers.vv_form(lake)
    return (vv_form,)


@app.cell
def _(mo, tabs, vv_form):
    mo.stop(tabs.value != "V&V")
    vv_form
    return


@app.cell
def _(answers, caught, lake, mo, tabs, vv_form):
    mo.stop(tabs.value != "V&V" or vv_form.value is None)
    with caught() as _shown:
        _shown += answers.vv(lake, **vv_form.value)
    mo.vstack(_shown)
    return


if __name__ == "__main__":
    app.run()
