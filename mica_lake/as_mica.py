"""For code that imports ``mica``: ``mica.archive.aca_l0`` becomes ``mica_lake.archive.aca_l0``, and so on."""

import importlib
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["install_as_mica", "uninstall_as_mica"]


# All other modules of mica_lake are its own, even if mica has a module of the same name.
_SHARED = ("archive", "bad_obsids", "common", "quaternion", "starcheck", "stats", "utils", "vv")


def _ours(name: str) -> str:
    return "mica_lake" + name.removeprefix("mica")


class _Alias(Loader):
    """Loads a module of mica_lake under its name in mica."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ours(spec.name))
        self.own_spec = module.__spec__
        if spec.name != "mica":
            return module
        mica = ModuleType("mica", "The modules that mica_lake shares with mica.")
        mica.__path__, mica.__file__ = list(module.__path__), module.__file__
        mica.__version__ = module.__version__  # type: ignore[attr-defined]
        return mica

    def exec_module(self, module: ModuleType) -> None:
        # The import machinery replaced it by that of the alias.
        if module.__name__ != "mica":
            module.__spec__ = self.own_spec


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != "mica" and not fullname.startswith("mica."):
            return None
        if fullname == "mica":
            return ModuleSpec(fullname, _Alias(), is_package=True)
        if fullname.split(".")[1] not in _SHARED or find_spec(_ours(fullname)) is None:
            raise ModuleNotFoundError(
                f"mica_lake has no counterpart of {fullname} (mica_lake.install_as_mica() is in effect)",
                name=fullname,
            )
        return ModuleSpec(fullname, _Alias())


_FINDER = _Finder()


def _is_ours(name: str, module: ModuleType) -> bool:
    if name == "mica":
        return isinstance(getattr(module.__spec__, "loader", None), _Alias)
    return name.startswith("mica.") and module is sys.modules.get(_ours(name))


def install_as_mica() -> None:
    """
    Make ``import mica`` and ``import mica.…`` import the modules of mica_lake.

    Each is imported when first asked for. Packages that use mica then run unchanged on the lake that
    `mica_lake.lake.default_root` finds. ``python -m mica_lake.as_mica SCRIPT`` runs an unchanged script.

    Raises
    ------
    ImportError
        If mica itself has already been imported.

    Examples
    --------
    >>> install_as_mica()
    >>> from mica.archive import aca_l0
    >>> aca_l0.__name__
    'mica_lake.archive.aca_l0'
    >>> uninstall_as_mica()
    """
    real = sys.modules.get("mica")
    if real is not None and not _is_ours("mica", real):
        raise ImportError(
            f"mica itself has already been imported, from {getattr(real, '__file__', None)}: "
            "call mica_lake.install_as_mica() before the first import of mica"
        )
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def uninstall_as_mica() -> None:
    """
    Undo `install_as_mica`: ``import mica`` imports mica again, or fails if it is not installed.

    Modules imported in the meantime keep the functions that they imported.
    """
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name, module in list(sys.modules.items()):
        if _is_ours(name, module):
            del sys.modules[name]


def main(arguments: Sequence[str]) -> None:
    """Run a script, given with its arguments, with mica_lake in place of mica."""
    if not arguments:
        sys.exit("usage: python -m mica_lake.as_mica SCRIPT [ARGUMENT ...]")
    if not Path(arguments[0]).exists():
        sys.exit(f"{arguments[0]}: no such script")
    install_as_mica()
    sys.argv[:] = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    from mica_lake.as_mica import main as run

    run(sys.argv[1:])
