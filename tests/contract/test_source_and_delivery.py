"""What every source and delivery must keep: in memory, on the embedded broker, on a real one."""

from dataclasses import dataclass
from typing import Any

import pytest
from topics import committed, produce, read

from consumer.errors import Reason
from consumer.inmemory import InMemoryDelivery, InMemorySource
from consumer.kafka.both import exactly_once
from consumer.kafka.clients import make_consumer, make_producer
from consumer.kafka.commits import Commits
from consumer.kafka.connection import Connection
from consumer.kafka.delivery import AtLeastOnceDelivery
from consumer.kafka.progress import Progress
from consumer.kafka.source import KafkaSource
from consumer.letters import Letters, shortened
from consumer.metrics import Metrics
from consumer.records import Outcome, Record
from consumer.settings import load

TOO_LARGE = b"x" * (1024**2 + 1)  # librdkafka refuses it


@dataclass
class Ports:
    """A source with records in it and a delivery, and how to look at what became of them."""

    source: Any
    delivery: Any
    committed: Any
    published: Any


def made_in_memory(records):
    source, delivery = InMemorySource(records), InMemoryDelivery()
    return Ports(
        source,
        delivery,
        committed=lambda: [delivery.committed.get(("in", n), 0) for n in range(4)],
        published=lambda count: [(o.record.key, o.value) for o in delivery.published][:count],
    )


def made_on_kafka(broker, records, closing, guarantee="at-least-once"):
    told = {**broker.settings(), "delivery": guarantee, "transaction_seconds": "0"}
    produce(
        told["bootstrap_servers"],
        told["input_topic"],
        [
            {
                "key": r.key,
                "value": r.value,
                "partition": r.partition,
                "timestamp": r.timestamp,
                "headers": list(r.headers),
            }
            for r in records
        ],
    )
    fetch_wait = told.pop("kafka_consumer_fetch_wait_max_ms", "500")
    told.pop("kafka_consumer_session_timeout_ms", None)
    settings = load({**told, "kafka": [f"consumer.fetch.wait.max.ms={fetch_wait}"]}, {}).settings
    metrics = Metrics()
    connection = Connection("test", metrics)
    commits = Commits(Progress(metrics, connection.lag))
    consumer = make_consumer(settings, connection, commits.on_answer)
    closing.append(consumer)
    topics = [settings.output_topic, settings.dead_letter_topic]

    def published(count):
        messages = read(told["bootstrap_servers"], topics, count)
        return [(m.key(), m.value()) for m in sorted(messages, key=lambda m: m.topic() == topics[1])]

    if guarantee == "exactly-once":
        name = settings.group_id
        delivery = exactly_once(settings, consumer, (connection, connection), metrics, name, lambda: None)
    else:
        producer = make_producer(settings, connection)
        delivery = AtLeastOnceDelivery(consumer, producer, settings, metrics, connection, commits, lambda: None)
    delivery.open(lambda: False)
    return Ports(
        KafkaSource(consumer, settings, metrics, connection, delivery),
        delivery,
        committed=lambda: committed(told["bootstrap_servers"], settings.group_id, settings.input_topic),
        published=published,
    )


RECORDS = [
    Record("in", partition, offset, 1_700_000_000_000 + offset, f"{partition}-{offset}".encode(), b"v", (("h", None),))
    for offset in range(3)
    for partition in range(4)
]


@pytest.fixture(
    params=[
        "memory",
        "embedded",
        pytest.param("real", marks=pytest.mark.kafka),
        pytest.param("real exactly-once", marks=pytest.mark.kafka),
    ]
)
def ports(request):
    if request.param == "memory":
        yield made_in_memory(RECORDS)
        return
    name, _, guarantee = request.param.partition(" ")
    broker = request.getfixturevalue(name)
    closing = []
    yield made_on_kafka(broker, RECORDS, closing, guarantee or "at-least-once")
    for client in closing:
        client.close()


def fetched(ports):
    records = []
    for _ in range(200):
        records += ports.source.fetch(0.2)
        if len(records) >= len(RECORDS):
            break
    return records


def outcome(record, value=b"out"):
    return Outcome(record, value, record.headers)


def test_records_come_in_order_within_their_partition_with_all_they_carry(ports):
    records = fetched(ports)
    assert sorted((r.partition, r.offset) for r in records) == [(p, o) for p in range(4) for o in range(3)]
    for partition in range(4):
        assert [r.offset for r in records if r.partition == partition] == [0, 1, 2]
    first = next(r for r in records if r.place[1] == 2)
    assert (first.key, first.value, first.headers, first.timestamp) == (b"2-0", b"v", (("h", None),), 1_700_000_000_000)


def test_what_is_delivered_is_published_and_committed(ports):
    records = fetched(ports)
    everything = [outcome(r) for r in records]
    assert ports.delivery.deliver(everything).refused == []
    assert ports.committed() == [3, 3, 3, 3]
    assert sorted(ports.published(12)) == sorted((r.key, b"out") for r in records)


def test_nothing_is_committed_past_a_refused_outcome_until_its_dead_letter_is_delivered(ports):
    records = fetched(ports)
    victim = next(r for r in records if (r.partition, r.offset) == (1, 1))
    (refusal,) = ports.delivery.deliver([outcome(r, TOO_LARGE if r is victim else b"out") for r in records]).refused
    assert (refusal.outcome.record, refusal.reason) == (victim, Reason.OUTPUT_TOO_LARGE)
    assert [ports.committed()[n] for n in (0, 2, 3)] == [3, 3, 3]
    assert ports.committed()[1] < 3
    letter = Letters().write(victim, refusal.reason, "deliver", refusal.error)
    assert letter in ports.delivery.deliver([letter]).published
    assert not ports.delivery.pending
    assert ports.committed() == [3, 3, 3, 3]
    assert ports.published(12)[-1] == (b"1-1", b"v")


def test_of_a_lost_partition_nothing_more_is_committed(ports):
    records = fetched(ports)
    victim = next(r for r in records if (r.partition, r.offset) == (1, 1))
    ports.delivery.deliver([outcome(r, TOO_LARGE if r is victim else b"out") for r in records])
    ports.delivery.forget([victim.place])
    assert not ports.delivery.deliver([]).refused
    assert [ports.committed()[n] for n in (0, 2, 3)] == [3, 3, 3]
    assert ports.committed()[1] <= 1


def test_a_dead_letter_that_is_refused_can_be_delivered_cut_down(ports):
    record = fetched(ports)[0]
    letter = Letters().write(record, Reason.NOT_JSON, "decode", "no JSON")
    huge = Outcome(record, TOO_LARGE, letter.headers, letter.reason)
    assert [r.outcome for r in ports.delivery.deliver([huge]).refused] == [huge]
    assert ports.delivery.deliver([shortened(letter)]).published == [shortened(letter)]
    assert ports.published(1) == [(record.key, shortened(letter).value)]


def test_a_paused_partition_rests_while_the_others_go_on(ports):
    first = ports.source.fetch(5.0)
    for _ in range(100):
        if first:
            break
        first = ports.source.fetch(0.2)
    seen = list(first)
    place = first[0].place
    ports.source.pause(place)
    for _ in range(15):
        seen += ports.source.fetch(0.2)
    late = {(r.partition, r.offset) for r in seen} | {(r.partition, r.offset) for r in first}
    assert {(p, o) for p in range(4) for o in range(3) if p != place[1]} <= late
    ports.source.resume(place)
    for _ in range(50):
        seen += ports.source.fetch(0.2)
        if len({(r.partition, r.offset) for r in seen}) == 12:
            break
    assert len({(r.partition, r.offset) for r in seen}) == len(seen) == 12


def test_pausing_everything_lets_nothing_through(ports):
    ports.source.pause(None)
    assert not [r for _ in range(12) for r in ports.source.fetch(0.2)]
    ports.source.resume(None)
    assert len(fetched(ports)) == 12


def test_delivering_nothing_is_no_work(ports):
    assert not ports.delivery.deliver([]).refused
    assert not ports.delivery.finish().published
    assert ports.source.take_lost() == set()
