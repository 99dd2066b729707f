"""The command ``mica-lake ingest``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mica_lake.cli.app import START, JobsOption, JsonOption, LakeOption, app, print_json
from mica_lake.errors import near
from mica_lake.products import PRODUCTS, product_named


def _choices() -> list[str]:
    return ["all", *(product.name for product in PRODUCTS)]


@app.command(rich_help_panel=START)
def ingest(
    product: Annotated[
        str,
        typer.Argument(
            metavar="PRODUCT",
            help=f"What to take: {', '.join(_choices())}.",
            autocompletion=_choices,
            show_default=False,
        ),
    ] = "",
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="A $SKA root, or the product's folder; for aca_l0 also any folder or file."),
    ] = None,
    lake: LakeOption = None,
    jobs: JobsOption = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Let the workers of this Dask scheduler do the work, tcp://host:8786, instead of processes here. "
            "They need the files and the lake under the same paths. Statistics and V&V are small and done here."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Also read files whose size and date have not changed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """
    Take files into the lake, which is created if need be.

    Exit code 3 if a file was set aside: the others are in, and 'mica-lake status' keeps the reasons.
    What is derived from a product, as hdr3 is from aca_l0, follows it; 'mica-lake ingest hdr3' does that alone.

    Example: mica-lake ingest all --from $SKA --lake /data/mica_lake
    """
    if product not in _choices():
        what = f"there is no product {product!r}{near(product, _choices())}." if product else "which product?"
        raise typer.BadParameter(f"{what} The products are {', '.join(_choices())}")
    from mica_lake.catalog.root import absolute
    from mica_lake.ingest import everything
    from mica_lake.ingest.follow import derive, module_of
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal

    console = Terminal(stderr=json)
    root = absolute(lake or default_root())
    options: dict[str, Any] = {"jobs": jobs, "cluster": cluster}
    chosen = None if product == "all" else product_named(product)
    if chosen is not None and not chosen.folder:
        if sources or dry_run or reread:
            raise ValueError(
                f"{product} is derived from table {chosen.follows}: it takes neither --from, --dry-run nor --reread"
            )
        derived = derive(product, root, **options)
        if json:
            print_json({**_head(root, 0, dry_run), "products": derived.as_json(chosen.follows)})
        else:
            derived.show_derived(console)
        return
    if not sources:
        raise ValueError("which files? Say --from with a folder, a file, or a $SKA root")
    options |= {"dry_run": dry_run, "reread": reread, "console": console}
    if chosen is None:
        done = everything.take(sources, root, **options)
        if json:
            print_json({**_head(root, done.exit_code, dry_run), **done.as_json()})
        else:
            done.show(console)
        raise typer.Exit(done.exit_code)
    # Files of aca_l0 are sorted out together, wherever they are.
    together = [sources] if product == "aca_l0" else sources
    reports = [module_of(chosen).ingest(source, root, **options) for source in together]
    found_none = all(report.found_none for report in reports)
    code = max(report.exit_code for report in reports)
    for report in reports:
        if not json and (not found_none or report.partitions):  # older ones are rewritten whatever is found
            report.show(console)
    if found_none:
        where = ", ".join(map(str, sources))
        raise ValueError(f"{where}: there are no files of {product}; they are called {chosen.files}")
    if json:
        products = [one for report in reports for one in report.as_json()]
        print_json({**_head(root, code, dry_run), "products": products})
    raise typer.Exit(code)


def _head(root: object, code: int, dry_run: bool) -> dict[str, Any]:
    return {"lake": str(root), "exit_code": code, "dry_run": dry_run, "failed": [], "absent": []}
