"""`raner-stream chaos`: the trials on a cluster of one's own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from consumer import console, logs
from consumer.chaos.options import LETTERS
from consumer.errors import SettingsError
from consumer.interrupts import clean_up_on_sigterm


def chaos(arguments: argparse.Namespace) -> int:
    """`raner-stream chaos`."""
    from consumer.chaos import stage
    from consumer.chaos.programme import TRIALS, Place
    from consumer.chaos.programme import stage as staged

    logs.configure("critical")  # each trial says itself what went wrong
    clean_up_on_sigterm()
    letters = [letter.strip() for letter in arguments.trials.split(",")]
    if unknown := [letter for letter in letters if letter not in TRIALS]:
        raise SettingsError(f"--trials {', '.join(unknown)}: expected some of {', '.join(LETTERS)}")
    both = ("at-least-once", "exactly-once")
    size = stage.FULL if arguments.full else stage.Size()
    size = replace(size, messages=arguments.messages or size.messages)
    place = Place(_client(arguments), arguments.partitions, arguments.replication, arguments.session)
    rows, problems = [], []
    for letter in letters:
        for delivery in both if arguments.delivery == "both" else (arguments.delivery,):
            console.told(f"{letter}, {delivery}")
            with (
                TemporaryDirectory() as kept,
                staged(letter, place, delivery, Path(kept), size=size, seed=arguments.seed, show=console.told) as where,
            ):
                result = TRIALS[letter].run(where)
            rows.append(stage.row(result, delivery))
            found = result.problems(exactly_once=delivery == "exactly-once")
            problems += [f"{result.name}, {delivery}: {problem}" for problem in found]
    console.rows(stage.COLUMNS, rows)
    for problem in problems:
        console.error(problem)
    return 1 if problems else 0


def _client(arguments: argparse.Namespace) -> dict[str, str]:
    client = {"bootstrap.servers": arguments.bootstrap_servers}
    for pair in arguments.kafka:
        name, separator, value = pair.partition("=")
        if not separator:
            raise SettingsError(f"--kafka {pair!r}: expected NAME=VALUE")
        client[name] = value
    return client
