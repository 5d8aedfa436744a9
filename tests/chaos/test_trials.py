"""Workers are killed, frozen and stopped on a real Kafka, and every record is accounted for."""

import os
import signal
import sys
import uuid
from pathlib import Path
from random import Random

import pytest
import stumbling
from brokers import PARTITIONS

from consumer.chaos.crew import crew, wait_for
from consumer.chaos.field import Field
from consumer.chaos.trials import churn, kill_loop, stop_loop, zombie

pytestmark = pytest.mark.kafka

FULL = os.environ.get("TEST_CHAOS") == "full"  # the whole table; otherwise enough of it to catch a mistake
SEED = int(os.environ.get("TEST_CHAOS_SEED", "7"))
BATCH = 64


@pytest.fixture(params=["at-least-once", "exactly-once"])
def guarantee(request):
    return request.param


@pytest.fixture
def field(real):
    name = uuid.uuid4().hex[:8]
    topics = (f"{kind}-{name}" for kind in ("in", "out", "dead"))
    made = Field({"bootstrap.servers": real.bootstrap_servers}, *topics, group=f"group-{name}")
    made.make(PARTITIONS, 1)
    yield made
    made.close()


@pytest.fixture
def settings(real, field, guarantee):
    return {
        "bootstrap_servers": real.bootstrap_servers,
        "input_topic": field.input_topic,
        "output_topic": field.output_topic,
        "dead_letter_topic": field.dead_letter_topic,
        "group_id": field.group,
        "delivery": guarantee,
        "threads": "1",
        "batch_records": str(BATCH),
        "kafka_consumer_session_timeout_ms": "3000",
        "kafka_consumer_heartbeat_interval_ms": "500",
    }


def held(result, guarantee, doubles):
    """Assert that nothing is lost, and nothing doubled but what at-least-once may double."""
    account = result.account
    assert (account.lost, account.disordered, account.strange, account.doubled_by_name) == (0, 0, 0, 0), account
    assert account.doubled <= (0 if guarantee == "exactly-once" else doubles), account


def test_a_killed_worker_costs_no_record(field, settings, guarantee, tmp_path):
    messages, kills = (20_000, 10) if FULL else (2_000, 2)
    messages = int(os.environ.get("TEST_CHAOS_MESSAGES", messages))
    result = kill_loop(field, tmp_path, settings, messages=messages, kills=kills, seed=SEED, show=print)
    print(result)  # noqa: T201 - shown with -s
    assert result.account.sent == messages
    held(result, guarantee, doubles=kills * BATCH)


def test_a_frozen_worker_that_wakes_up_when_another_has_taken_over_does_no_harm(field, settings, guarantee, tmp_path):
    result = zombie(field, tmp_path, settings, messages=1_500, seed=SEED)
    print(result)  # noqa: T201 - shown with -s
    held(result, guarantee, doubles=BATCH)


def test_a_stop_in_the_middle_of_a_batch_loses_and_doubles_nothing(field, settings, guarantee, tmp_path):
    stops = 50 if FULL else 4
    result = stop_loop(field, tmp_path, settings, messages=400 * stops, stops=stops, seed=SEED)
    print(result)  # noqa: T201 - shown with -s
    held(result, guarantee, doubles=0)
    assert max(result.recoveries) < 25 + 5


@pytest.mark.parametrize(
    "group",
    [
        {},
        {"kafka_consumer_partition_assignment_strategy": "range"},
        {"group_protocol": "consumer"},
    ],
    ids=["cooperative", "eager", "consumer"],
)
def test_workers_that_join_and_leave_lose_nothing_and_commit_what_they_own(field, settings, guarantee, tmp_path, group):
    if group.get("group_protocol") == "consumer":
        settings = {name: value for name, value in settings.items() if not name.startswith("kafka_consumer")}
    changes, messages = (24, 12_000) if FULL else (3, 900)
    told = settings | group
    result = churn(field, tmp_path, told, changes=changes, every=5.0, messages=messages, seed=SEED)
    print(result)  # noqa: T201 - shown with -s
    assert result.strays == 0
    assert result.rebalances >= changes
    held(result, guarantee, doubles=changes * BATCH)


def seeded(seed):
    return Random(seed)  # noqa: S311 - messages, no secrets


def stumble(point, sent, mutant="-", number=2):
    script = Path(stumbling.__file__)
    return (sys.executable, str(script), point, sent, str(number), mutant, "run")


def killed_at(point, field, settings, directory, mutant="-", number=2):
    """Kill a worker at a point, have another do the rest, and return the account."""
    field.send(600, seeded(SEED), broken=0.05)
    with crew(directory, settings) as workers:
        victim = workers.start(stumble(point, "SIGKILL", mutant, number))
        assert victim.wait() == -signal.SIGKILL
        workers.start()
        field.wait_until_done(workers.check)
        assert workers.stop() == [0]
    return field.account()


@pytest.mark.parametrize("point", stumbling.POINTS if FULL else ("after_produce", "after_commit"))
def test_a_worker_killed_at_a_named_point_costs_no_record(field, settings, guarantee, tmp_path, point):
    account = killed_at(point, field, settings, tmp_path)
    assert (account.sent, account.lost, account.disordered, account.strange, account.doubled_by_name) == (
        600,
        0,
        0,
        0,
        0,
    )
    doubles = {"after_produce": BATCH, "before_commit": BATCH} if guarantee == "at-least-once" else {}
    assert account.doubled == doubles.get(point, 0)


@pytest.mark.parametrize("guarantee", ["exactly-once"])
def test_a_worker_frozen_in_an_open_transaction_shows_nothing_of_it(field, settings, tmp_path):
    settings = {**settings, "kafka_producer_transaction_timeout_ms": "10000"}
    field.send(600, seeded(SEED))
    with crew(tmp_path, settings) as workers:
        frozen = workers.start(stumble("after_produce", "SIGSTOP"))
        stat = Path(f"/proc/{frozen.process.pid}/stat")
        wait_for(lambda: stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T", "the freeze")
        workers.start()
        field.wait_until_done(workers.check)
        frozen.send(signal.SIGCONT)
        wait_for(lambda: frozen.events("transaction_aborted") or not frozen.alive, "the frozen worker to notice")
        field.send(100, seeded(SEED + 1))
        field.wait_until_done(lambda: None)
        workers.stop()
    account = field.account()
    assert (account.sent, account.arrived, account.lost, account.doubled) == (700, 700, 0, 0)


@pytest.mark.parametrize(
    ("guarantee", "mutant", "number", "shows"),
    [
        ("at-least-once", "commit_before_produce", 3, "lost"),  # its first two commits are of the first batch
        ("at-least-once", "commit_without_reports", 2, "lost"),
        ("exactly-once", "offsets_outside", 2, "doubled"),
    ],
)
def test_the_ledger_gives_a_mistake_away(field, settings, tmp_path, mutant, number, shows):
    account = killed_at("after_commit", field, settings, tmp_path, mutant, number)
    assert getattr(account, shows) > 0


@pytest.mark.parametrize("guarantee", ["exactly-once"])
def test_the_ledger_and_the_log_give_an_ignored_revocation_away(field, settings, tmp_path):
    slow = {"transaction_seconds": "8", "transaction_records": "100000"}  # something is gathered when another comes
    field.send(600, seeded(SEED))
    with crew(tmp_path, settings | slow) as workers:
        careless = workers.start(stumble("-", "SIGKILL", "ignored_revocation"))
        wait_for(lambda: careless.in_flight() == 600, "everything to be gathered")
        other = workers.start()
        wait_for(lambda: other.events("partitions_assigned"), "the other to own something")
        field.wait_until_done(workers.check)
        wait_for(careless.strays, "the commit of what another owns")
        workers.stop()
    assert field.account().doubled > 0
