"""The long form of the tests under faults: `pytest tests/soak --soak`. Without the option each is short."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="tests/soak in its long form, a quarter of an hour")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    # Where the folder was not named, pytest read this file too late to know the option.
    return bool(request.config.getoption("--soak", default=False))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was counted, for docs/reliability.md."""
    figures = [figure for report in terminalreporter.getreports("passed") for figure in report.user_properties]
    if figures:
        terminalreporter.section("the soak's figures")
    for name, value in figures:
        terminalreporter.write_line(f"{name}: {value}")
