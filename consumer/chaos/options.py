"""The options of `raner-stream chaos`. Imports nothing that takes time: every command reads them."""

from __future__ import annotations

import argparse

from consumer.arguments import natural, positive

LETTERS = ("A", "B", "E", "E-eager", "E-consumer", "F", "G", "H", "I", "J")


def add_chaos(parser: argparse.ArgumentParser) -> None:
    """Add the options of `chaos`."""
    parser.add_argument(
        "--bootstrap-servers",
        required=True,
        metavar="HOST:PORT,…",
        help="a cluster to try it on, no default: groups and topics named raner-chaos-… are made, the topics removed",
    )
    parser.add_argument(
        "--trials", default=",".join(LETTERS), metavar="LETTERS", help=f"which (default: {','.join(LETTERS)})"
    )
    parser.add_argument(
        "--delivery",
        choices=("at-least-once", "exactly-once", "both"),
        default="both",
        help="delivery guarantee to try (default: both)",
    )
    parser.add_argument("--full", action="store_true", help="20,000 messages, 10 kills, 50 stops (default: less)")
    parser.add_argument("--messages", type=positive, metavar="NUMBER", help="messages of a trial (default: by --full)")
    parser.add_argument("--partitions", type=positive, default=4, metavar="NUMBER", help="of each topic (default: 4)")
    parser.add_argument("--replication", type=positive, default=1, metavar="NUMBER", help="of each topic (default: 1)")
    parser.add_argument(
        "--session",
        type=positive,
        default=6_000,
        metavar="MILLISECONDS",
        help="sessions of the workers, which the broker's group.min.session.timeout.ms must allow (default: 6000)",
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="NUMBER", help="another seed, other kills (default: 0)"
    )
    parser.add_argument(
        "--kafka",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="librdkafka property of every client; may be repeated (default: none)",
    )
