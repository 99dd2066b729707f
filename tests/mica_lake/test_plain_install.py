"""A plain install is enough for all but what an extra is for."""

import importlib.metadata
import subprocess
import sys

import pytest

# The packages, the module that needs them, and what is done with it, by extra.
EXTRA = {
    "spark": (("pyspark", "sqlglot"), "mica_lake.spark", "import mica_lake.spark"),
    "object-store": (
        ("obstore", "fsspec"),
        "mica_lake.store.duckdb_files",
        "import mica_lake, mica_lake.store.duckdb_files; mica_lake.Lake('s3://bucket/lake')",
    ),
    "cluster": (("distributed",), "mica_lake.ingest.cluster", "import mica_lake.ingest.cluster"),
}


@pytest.mark.parametrize("extra", EXTRA)
def test_only_the_extra_brings_its_packages(extra: str) -> None:
    packages = EXTRA[extra][0]
    required = importlib.metadata.requires("mica-lake") or []
    for package in packages:
        of_it = [line for line in required if line.startswith(package)]
        assert of_it
        assert all("extra ==" in line for line in of_it)


@pytest.mark.parametrize("extra", EXTRA)
def test_without_them_the_module_says_which_extra(extra: str) -> None:
    packages, _, use = EXTRA[extra]
    for package in packages:
        code = f"import sys; sys.modules[{package!r}] = None; {use}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"pip install 'mica-lake[{extra}]'" in done.stderr


def test_nothing_else_imports_them() -> None:
    code = """
import importlib, pkgutil, sys
import mica_lake
extra = sys.argv[1:]
for name in (m.name for m in pkgutil.walk_packages(mica_lake.__path__, "mica_lake.")):
    if name not in extra:
        importlib.import_module(name)
print(*sys.modules)
"""
    modules = [module for _, module, _ in EXTRA.values()]
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert "mica_lake.cli" in done.stdout.split()
    assert not set(done.stdout.split()) & {package for packages, *_ in EXTRA.values() for package in packages}
