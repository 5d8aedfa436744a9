"""Workers are killed, frozen and stopped on a real Kafka, and every record is accounted for."""

import os
import uuid

import pytest
from brokers import PARTITIONS

from consumer.chaos.field import Field
from consumer.chaos.trials import kill_loop, stop_loop, zombie

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
    return made


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
    messages, kills = (20_000, 10) if FULL else (3_000, 3)
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
    stops = 50 if FULL else 5
    result = stop_loop(field, tmp_path, settings, messages=400 * stops, stops=stops, seed=SEED)
    print(result)  # noqa: T201 - shown with -s
    held(result, guarantee, doubles=0)
    assert max(result.recoveries) < 25 + 5
