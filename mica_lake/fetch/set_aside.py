"""What could not be taken: the files in ``set_aside``, and beside each a text file with a line for each failure."""

import os
import re
import shutil
import stat
from pathlib import Path

from mica_lake.fetch.plan import Failure
from mica_lake.fetch.request import OfObservation, Request
from mica_lake.formats.on_disk import escaped, storable
from mica_lake.times import cxcsec, now, utc

_LINE = re.compile(r"(?P<when>\S+) (?P<product>aca_l0|obspar|asp_l1) (?P<obsid>\d+|-): (?P<reason>.*)", re.ASCII)
_LONGEST_NAME = 200
_TEXT = ".txt"


class SetAside:
    """
    The folder of what could not be taken.

    Parameters
    ----------
    folder : Path
        Where it is; it is made when it is needed.

    Examples
    --------
    >>> aside = SetAside(getfixture("tmp_path"))
    >>> aside.add(OfObservation("obspar", 5438, "last"), "README", "its name is not that of an obspar")
    >>> [(failure.obsid, failure.name, failure.count) for failure in aside.failures()]
    [(5438, 'README', 1)]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, request: Request, name: str, reason: str, path: Path | None = None) -> None:
        """
        Write down why a file could not be taken, and move it here.

        Parameters
        ----------
        request : Request
            What was asked for.
        name : str
            Name of the file.
        reason : str
            Why.
        path : Path, optional
            Where it is, if there is one. What is no regular file is removed.

        Examples
        --------
        >>> aside = SetAside(getfixture("tmp_path"))
        >>> aside.add(OfObservation("obspar", 5438, "last"), "a.par", "it is empty")
        >>> sorted(path.name for path in aside.folder.iterdir())
        ['a.par.txt']
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        here = self.folder / escaped(name).replace("/", "_")[:_LONGEST_NAME]
        of = str(request.obsid) if isinstance(request, OfObservation) else "-"
        said = " ".join(escaped(storable(reason)).split())
        with here.with_name(here.name + _TEXT).open("a", encoding="utf-8") as text:
            text.write(f"{utc(now())} {request.product} {of}: {said}\n")
        if path is None:
            return
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            os.replace(path, here)  # noqa: PTH105 - a step at which a run may die
        elif stat.S_ISDIR(mode):
            shutil.rmtree(path)
        else:
            path.unlink()

    def clear(self, request: Request, name: str = "") -> None:
        """
        Forget the failures of a telemetry file, or all of an observation's product, as it was taken.

        Parameters
        ----------
        request : Request
            What was asked for.
        name : str
            Name of the file, without ``.gz``; nothing for an observation.

        Examples
        --------
        >>> aside, request = SetAside(getfixture("tmp_path")), OfObservation("obspar", 5438, "last")
        >>> aside.add(request, "a.par", "it is empty")
        >>> aside.clear(request)
        >>> aside.failures()
        []
        """
        if isinstance(request, OfObservation):
            ours = (request.product, request.obsid)
            names = [failure.name for failure in self.failures() if (failure.product, failure.obsid) == ours]
        else:
            names = [name, f"{name}.gz"]
        for stored in names:
            (self.folder / stored).unlink(missing_ok=True)
            (self.folder / f"{stored}{_TEXT}").unlink(missing_ok=True)

    def failures(self) -> list[Failure]:
        """
        What could not be taken, by what the text files say.

        Returns
        -------
        list of Failure
            Each file once, by name; that of telemetry is without ``.gz``.

        Examples
        --------
        >>> SetAside(getfixture("tmp_path") / "none").failures()
        []
        """
        found: dict[tuple[str, int | None, str], Failure] = {}
        for text in sorted(self.folder.glob(f"*{_TEXT}")):
            for line in text.read_text(encoding="utf-8", errors="replace").splitlines():
                match = _LINE.fullmatch(line)
                if match is None:
                    continue
                name = text.name.removesuffix(_TEXT)
                name = name.removesuffix(".gz") if match["product"] == "aca_l0" else name
                obsid = None if match["obsid"] == "-" else int(match["obsid"])
                before = found.get((match["product"], obsid, name))
                count, last = (before.count + 1, before.last) if before else (1, 0.0)
                failure = Failure(match["product"], obsid, name, count, max(last, cxcsec(match["when"])))
                found[match["product"], obsid, name] = failure
        return sorted(found.values(), key=lambda failure: (failure.name, failure.product))
