"""Prints the table of the trials at the end of a run."""

import pytest

from consumer.chaos.stage import COLUMNS

ROWS = pytest.StashKey()


def pytest_configure(config):
    config.stash.setdefault(ROWS, [])


@pytest.fixture
def told(request):
    """Takes a row of the table."""
    return request.config.stash[ROWS].append


def pytest_terminal_summary(terminalreporter, config):
    if rows := config.stash[ROWS]:
        terminalreporter.section("trials")
        for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows):
            terminalreporter.write_line("| " + " | ".join(cells) + " |")
