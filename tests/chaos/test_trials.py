"""Workers are killed, frozen and stopped on a real Kafka, and every record is accounted for.

The trials of the table are all run with TEST_CHAOS=full; without, fewer and shorter ones, each of them once.
"""

import os
import signal
import sys
from pathlib import Path
from random import Random

import pytest
import stumbling
from brokers import PARTITIONS, running_kafka
from proxy import running_proxy

from consumer.chaos import weather
from consumer.chaos.crew import crew, wait_for
from consumer.chaos.programme import TRIALS, Place, stage
from consumer.chaos.stage import FULL as FULL_SIZE
from consumer.chaos.stage import Size, row
from consumer.chaos.weather import Storm

pytestmark = pytest.mark.kafka

FULL = os.environ.get("TEST_CHAOS") == "full"  # the whole table; otherwise enough of it to catch a mistake
SEED = int(os.environ.get("TEST_CHAOS_SEED", "7"))
BOTH = ("at-least-once", "exactly-once")
SHORT = {  # what is most likely to go wrong
    "A": BOTH,
    **dict.fromkeys(("E", "F", "J"), BOTH[:1]),
    **dict.fromkeys(("B", "E-consumer", "G", "H", "I"), BOTH[1:]),
}
SIZE = FULL_SIZE if FULL else Size(messages=600, kills=1, stops=2, changes=2)
BATCH = 64


@pytest.fixture
def staged(real, tmp_path):
    """Sets the stage of a trial on the session's Kafka."""

    def make(letter, guarantee):
        place = Place({"bootstrap.servers": real.bootstrap_servers}, PARTITIONS, session_milliseconds=3_000)
        return stage(letter, place, guarantee, tmp_path, size=SIZE, seed=SEED, show=print)

    return make


def held(result, guarantee, told):
    told(row(result, guarantee))
    assert result.problems(exactly_once=guarantee == "exactly-once") == []


@pytest.mark.parametrize(
    ("letter", "guarantee"),
    [(letter, guarantee) for letter in TRIALS for guarantee in (BOTH if FULL else SHORT.get(letter, ()))],
)
def test_nothing_is_lost_and_nothing_doubled_in_trial(staged, letter, guarantee, told):
    with staged(letter, guarantee) as where:
        result = TRIALS[letter].run(where)
    held(result, guarantee, told)
    if letter.startswith("E"):
        assert result.rebalances >= SIZE.changes
    if letter == "I":
        assert max(result.recoveries) < 25 + 5


@pytest.mark.parametrize("guarantee", BOTH if FULL else BOTH[1:])
def test_a_broker_that_freezes_and_one_that_is_killed_cost_no_record(real, staged, guarantee, told):
    if real.server is None:
        pytest.skip("the broker is not this test's to kill")
    storms = [Storm(real.server.freeze, 5, real.server.thaw), Storm(real.server.kill, 2, real.server.launch)]
    with staged("C", guarantee) as where:
        result = weather.away(where, "broker frozen, and killed", storms)
    held(result, guarantee, told)


@pytest.mark.parametrize("guarantee", BOTH if FULL else BOTH[1:])
def test_a_network_that_delays_goes_silent_and_cuts_costs_no_record(tmp_path, guarantee, told):
    with running_proxy() as proxy, running_kafka(tmp_path / "kafka", proxy.port) as server:
        proxy.target = server.proxied_port

        def slow(seconds):
            proxy.delay = seconds

        storms = [
            Storm(lambda: slow(0.5), 8 if FULL else 4, lambda: slow(0)),
            Storm(proxy.silence, 0, lambda: None),
            Storm(proxy.cut, 0, lambda: None),
        ]
        place = Place({"bootstrap.servers": server.bootstrap_servers}, PARTITIONS, session_milliseconds=3_000)
        with stage("D", place, guarantee, tmp_path, size=SIZE, seed=SEED) as where:
            proxied = {"bootstrap_servers": f"127.0.0.1:{proxy.port}", "kafka_socket_timeout_ms": "6000"}
            result = weather.away(where.with_settings(**proxied), "network slow, silent, cut", storms)
    held(result, guarantee, told)


@pytest.mark.parametrize("guarantee", BOTH if FULL else BOTH[1:])
def test_a_group_that_changes_while_deliveries_are_slow_costs_no_record(tmp_path, guarantee):
    with running_proxy() as proxy, running_kafka(tmp_path / "kafka", proxy.port) as server:
        proxy.target = server.proxied_port
        place = Place({"bootstrap.servers": server.bootstrap_servers}, PARTITIONS, session_milliseconds=3_000)
        with stage("E", place, guarantee, tmp_path, size=SIZE, seed=SEED) as where:
            where.field.send(600, seeded(SEED))
            with crew(tmp_path, {**where.settings, "kafka_consumer_session_timeout_ms": "10000"}) as workers:
                slow = workers.start(bootstrap_servers=f"127.0.0.1:{proxy.port}")
                wait_for(lambda: slow.in_flight() > 0, "records in flight", workers.check)
                proxy.delay = 0.7  # seconds for each piece, so that a transaction takes about ten
                for _ in range(3 if FULL else 1):
                    other = workers.start()
                    wait_for(lambda other=other: has_a_share(other), "a share of the partitions", workers.check)
                    other.send(signal.SIGTERM)
                    assert other.wait() == 0
                    where.field.send(200, seeded(SEED))
                changes = len(slow.events("partitions_revoked"))
                proxy.delay = 0.0
                where.field.wait_until_done(workers.check)
                workers.stop_all()
                strays = slow.strays()
            account = where.field.account()
    assert changes > 0
    assert (account.lost, account.disordered, account.doubled_by_name, strays) == (0, 0, 0, [])
    assert account.doubled == 0 or guarantee == "at-least-once"


@pytest.fixture
def guarantee(request):
    return "exactly-once"


@pytest.fixture
def where(staged, guarantee):
    with staged("A", guarantee) as made:
        yield made


@pytest.fixture
def field(where):
    return where.field


@pytest.fixture
def settings(where):
    return dict(where.settings)


def has_a_share(hand):
    return any(event["partitions"] for event in hand.events("partitions_assigned"))


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


@pytest.mark.parametrize(
    ("point", "guarantee"),
    [(point, guarantee) for point in stumbling.POINTS for guarantee in BOTH]
    if FULL
    else [("after_produce", "exactly-once"), ("before_commit", "at-least-once")],
)
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


@pytest.mark.parametrize("guarantee", BOTH)
def test_clients_that_are_stuck_are_made_anew_and_cost_no_record(field, settings, tmp_path, guarantee):
    field.send(600, seeded(SEED), broken=0.05)
    with crew(tmp_path, settings) as workers:
        worker = workers.start(stumble("-", "SIGKILL", "stuck"))
        field.wait_until_done(workers.check)
        assert len(worker.events("clients_renewed")) == 1
        assert worker.metrics()["raner_clients_renewed_total"] == 1
        workers.wait_ready()
        assert workers.stop() == [0]
    account = field.account()
    assert (account.sent, account.lost, account.disordered, account.doubled_by_name) == (600, 0, 0, 0)
    assert account.doubled == 0 or guarantee == "at-least-once"


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
    gathering = {"transaction_seconds": "600", "transaction_records": "601"}
    field.send(600, seeded(SEED))
    with crew(tmp_path, settings) as workers:
        careless = workers.start(stumble("-", "SIGKILL", "ignored_revocation"), **gathering)
        wait_for(lambda: careless.in_flight() == 600, "everything to be gathered")
        other = workers.start()
        wait_for(lambda: other.events("offsets_committed"), "the other to commit what it owns")
        field.send(100, seeded(SEED + 1))  # more than enough for the careless one to commit as well
        wait_for(careless.strays, "the commit of what another owns")
        workers.stop()
    assert field.account().doubled > 0
