"""The command ``mica-lake reindex``."""

import typer

from mica_lake.cli.app import KEEP, LakeOption, app


@app.command(rich_help_panel=KEEP)
def reindex(lake: LakeOption = None) -> None:
    """
    Derive the catalog again from the partitions.

    For instance after some were copied in or lost. A partition that is lost or damaged comes back from its pinned
    version, if that is good.

    Exit code 3 if a partition is damaged or a source file not whole; ingesting the files again mends both.

    Example: mica-lake reindex --lake /data/mica_lake
    """
    from mica_lake.catalog.generation import read_table
    from mica_lake.catalog.reindex import rebuild
    from mica_lake.catalog.root import absolute
    from mica_lake.lake import default_root
    from mica_lake.terminal import Terminal, escape

    console = Terminal()
    root = absolute(lake or default_root())
    trouble = rebuild(root)
    for line in trouble:
        console.print(escape(line), soft_wrap=True, highlight=False)
    partition = read_table(root, "partition")
    console.print(f"{escape(root)}: {_counted(len(partition), 'partition')}, {_counted(len(trouble), 'trouble')}")
    raise typer.Exit(3 if trouble else 0)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
