"""`raner-stream dlq …`. Settings are the worker's own: its brokers, group and topics."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import closing

from consumer import console, logs, settings
from consumer.dlq.letter import Letter, read_filter, wants
from consumer.errors import SettingsError
from consumer.records import Record
from consumer.settings import Settings

_COLUMNS = ("reason", "stage", "topic", "partition", "offset", "attempts", "error")


def list_letters(arguments: argparse.Namespace) -> int:
    """`raner-stream dlq list`."""
    from consumer.kafka.mail import Mail, group_of

    told, wanted = _told(arguments), read_filter(arguments.filter)
    if arguments.format == "table":
        console.plain("\t".join(("place", *_COLUMNS)))
    with closing(Mail(told, group_of(told, {}))) as mail:
        for letter in _letters(mail.records(committed=False)):
            if wants(wanted, letter):
                console.plain(_line(letter, arguments.format))
    return 0


def show_letter(arguments: argparse.Namespace) -> int:
    """`raner-stream dlq show`."""
    from consumer.kafka.mail import Mail, group_of

    partition, separator, offset = arguments.place.partition(":")
    numbers = separator and partition.isdecimal() and offset.isdecimal()
    if not numbers or int(partition) >= 2**31 or int(offset) >= 2**63:
        raise SettingsError(f"{arguments.place!r} is no place; expected PARTITION:OFFSET, as `dlq list` prints it")
    told = _told(arguments)
    with closing(Mail(told, group_of(told, {}))) as mail:
        record = mail.one(int(partition), int(offset))
    console.plain(f"key: {_text(record.key)}")
    for name, value in record.headers:
        console.plain(f"{name}: {_text(value)}")
    console.plain("")
    console.plain(_text(record.value))
    return 0


def replay_letters(arguments: argparse.Namespace) -> int:
    """`raner-stream dlq replay`."""
    from consumer.dlq import replay as replaying
    from consumer.kafka.mail import Mail, group_of
    from consumer.kafka.resending import Resender

    told, wanted = _told(arguments), read_filter(arguments.filter)
    terms = replaying.terms(told, wanted, arguments.max_attempts, arguments.rate, arguments.dry_run)
    with closing(Mail(told, group_of(told, wanted))) as mail:
        letters = _letters(mail.records(committed=True))
        count = replaying.replay(letters, terms, Resender(told), mail.commit, _shown(dry_run=terms.dry_run))
    for what, number in {
        "would be replayed" if terms.dry_run else "replayed": count.replayed,
        **{f"passed over, {why}": number for why, number in count.passed_over.items()},
    }.items():
        console.plain(f"{number}\t{what}")
    return 0


def _told(arguments: argparse.Namespace) -> Settings:
    logs.configure("warning")
    return settings.told(arguments).settings


def _letters(records: Iterator[Record]) -> Iterator[Letter]:
    return (Letter(record) for record in records)


def _shown(*, dry_run: bool) -> Callable[[Letter], None]:
    return (lambda letter: console.plain(_line(letter, "table"))) if dry_run else (lambda _: None)


def _line(letter: Letter, format: str) -> str:
    """Return a line about a letter, which quotes nothing of its value."""
    told = {"place": letter.place} | {name: letter.told[name] for name in _COLUMNS}
    if format == "json":
        return json.dumps(told, ensure_ascii=False)
    return "\t".join(text.replace("\t", " ").replace("\n", " ") for text in told.values())


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "backslashreplace")
