"""What becomes of librdkafka's own log lines."""

import logging

from consumer.kafka.lines import Lines


def told(lines, second, text):
    """Return what is logged of a line, None if nothing is."""
    line = {"created": second, "levelno": logging.ERROR, "msg": "%s [%s] %s", "args": ("FAIL", "producer-1", text)}
    record = logging.makeLogRecord(line)
    return record if lines.filter(record) else None


def test_a_line_is_the_reason_of_an_event():
    record = told(Lines(), 0, "a:1: refused")
    assert (record.getMessage(), record.levelno) == ("librdkafka", logging.ERROR)
    assert record.reason == "FAIL [producer-1] a:1: refused"


def test_lines_that_differ_only_in_how_long_it_took_are_told_once_a_minute():
    lines = Lines()
    refused = [f"{where}: refused (after {n}ms in state CONNECT)" for n in range(3) for where in ("a:1", "b:1")]
    assert [bool(told(lines, 0.1 * n, text)) for n, text in enumerate(refused)] == [True, True] + [False] * 4
    assert told(lines, 59, refused[0]) is None
    assert told(lines, 61, refused[0])
    assert told(lines, 62, refused[2]) is None
