"""The command ``mica-lake verify``."""

from pathlib import Path
from typing import Annotated

import typer

from mica_lake.cli.app import KEEP, JobsOption, JsonOption, LakeOption, app, print_json


@app.command(rich_help_panel=KEEP)
def verify(
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Compare with these files, too: a $SKA root, a product's folder, or a file."),
    ] = None,
    lake: LakeOption = None,
    sample: Annotated[
        float,
        typer.Option("--sample", help="Only this fraction of partitions and files; the next call goes on after them."),
    ] = 1.0,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """
    Look for lost, damaged or misplaced rows; no data are changed.

    Exit code 4 if anything is wrong; what, and the command that mends it, is printed.

    With --sample 0.034 every night, it goes through all of it in a month.

    Example: mica-lake verify --from $SKA --sample 0.034
    """
    from contextlib import ExitStack

    from mica_lake.catalog import verify as of_lake
    from mica_lake.catalog.root import absolute
    from mica_lake.ingest import compare
    from mica_lake.ingest.processes import executor
    from mica_lake.ingest.report import progress_bar
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal

    console = Terminal(stderr=json)
    root = absolute(lake or default_root())
    with ExitStack() as stack:
        pool = executor(stack, jobs)
        bar = stack.enter_context(progress_bar(console))
        task = bar.add_task("partitions", total=None)
        begin = of_lake.sampled_until(root) if sample < 1 else 0.0
        verified = of_lake.verify(
            root, sample=sample, begin=begin, pool=pool,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
        if verified.readable:
            verified.findings += compare.stale(root)
            if sources:
                of_files = bar.add_task("files", total=None)
                compare.compare(
                    sources, root, verified, sample=sample, begin=begin, pool=pool,
                    progress=lambda done, total: bar.update(of_files, completed=done, total=total),
                )  # fmt: skip
    if json:
        print_json({"lake": str(root), "exit_code": verified.exit_code, "sample": sample, **verified.as_json()})
    else:
        verified.show(console)
    if sample < 1 and verified.readable:
        try:
            of_lake.remember(root, begin + sample)
        except OSError as error:
            console.print(f"The next sample will be the same: {error.filename} cannot be written ({error.strerror}).")
    raise typer.Exit(verified.exit_code)
