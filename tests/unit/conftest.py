"""What the tests of the command line share."""

import io
import logging
import sys

import pytest

from consumer.cli import main


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command; return its exit status, what it printed and what it complained of."""

    def runner(*arguments, stdin=b"", environment=()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        for name, value in dict(environment).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        logging.getLogger().setLevel(logging.WARNING)  # as it was before a command had its own
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return runner
