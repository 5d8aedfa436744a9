"""Commands whose standard streams are closed, full, or not a terminal with colours."""

import subprocess

import pytest

from consumer.console import marked, out
from consumer.processes import MODULE

COMMAND = " ".join((*MODULE, "consumer"))
CONFIG = "check-config --bootstrap-servers localhost:1 --input-topic a --output-topic b"


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (f"echo 王小明 | {COMMAND} annotate --model tiny >&-", 0, ""),
        (f"{COMMAND} annotate --model tiny <&-", 0, ""),
        (f"echo 王小明 | {COMMAND} annotate --model tiny >/dev/full", 1, "error: [Errno 28] No space left on device"),
        (f"set -o pipefail; {COMMAND} {CONFIG} | head -1", 0, ""),
        (f"set -o pipefail; {COMMAND} schema | head -1", 0, ""),
    ],
)
def test_a_stream_that_is_closed_or_full_ends_no_command_in_a_traceback(line, status, said):
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr.strip()) == (status, said)


@pytest.mark.parametrize(("environment", "shown"), [({}, "[王小明 PER]在"), ({"FORCE_COLOR": "1"}, " 王小明 PER 在")])
def test_entities_stand_in_brackets_where_there_are_no_colours(monkeypatch, environment, shown):
    for no_color in ("", "1"):
        for name, value in {"TERM": "xterm", "NO_COLOR": no_color, **environment}.items():
            monkeypatch.setenv(name, value)
        out.cache_clear()
        assert marked("王小明在", [(0, 3, "PER")]).plain == ("[王小明 PER]在" if no_color else shown)
    out.cache_clear()
