"""Coordinators that move, brokers that take their time: the membership is kept and nothing is lost."""

import json
import threading
import time

import pytest
from brokers import PARTITIONS, Broker
from confluent_kafka import TopicPartition
from mock_cluster import OFFSET_COMMIT, PRODUCE, mock_cluster
from topics import committed, ids, produce, read, texts
from worker_process import wait_for, worker_process

from consumer.errors import DrainExpired
from consumer.health import Health, Shutdown
from consumer.kafka import both
from consumer.kafka.clients import make_consumer
from consumer.kafka.connection import Connection
from consumer.kafka.source import KafkaSource
from consumer.metrics import Metrics
from consumer.settings import load

BOTH = ("at-least-once", "exactly-once")
SLOW_SECONDS = 7
LIMITS = {"kafka_max_poll_interval_ms": "6000", "kafka_session_timeout_ms": "6000"}


@pytest.fixture
def cluster():
    with mock_cluster(2) as made:
        yield made


def settings_on(cluster, guarantee, **changes):
    return Broker(cluster.bootstrap_servers, real=False).settings(
        delivery=guarantee, transaction_seconds="0", threads="1", **changes
    )


def slowed(cluster, seconds=SLOW_SECONDS, request=PRODUCE):
    """Have each broker's next answer to a request, a producer's unless told otherwise, take its time."""
    for broker in (1, 2):
        cluster.delay(broker, request, seconds * 1000)


@pytest.mark.parametrize("guarantee", BOTH)
def test_a_coordinator_that_moves_costs_no_record_and_the_worker_goes_on(cluster, tmp_path, guarantee):
    settings = settings_on(cluster, guarantee)
    servers, topic, group = cluster.bootstrap_servers, settings["input_topic"], settings["group_id"]
    name = {"transactional_id": "worker"} if guarantee == "exactly-once" else {}
    with worker_process(tmp_path, **settings, **name) as worker:
        for number, home in enumerate((1, 2, 1)):
            cluster.coordinate("group", group, home)
            cluster.coordinate("transaction", "worker", home)
            produce(servers, topic, texts(100, 100 * number))
            done = 100 * (number + 1)
            wait_for(lambda done=done: worker.metric("raner_records_out_total") >= done, "all records", worker)
        worker.wait_ready()
        out = read(servers, [settings["output_topic"]], 300)
        if guarantee == "at-least-once":  # the mock cluster forgets the offsets of transactions
            wait_for(lambda: sum(max(0, n) for n in committed(servers, group, topic)) == 300, "the commits", worker)
        assert worker.stop() == 0
    assert set(ids(out)) == set(range(300))


def test_a_coordinator_that_is_away_shows_until_it_is_back(cluster, tmp_path):
    settings = settings_on(cluster, "at-least-once")
    cluster.coordinate("group", settings["group_id"], 2)
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        cluster.down(2)
        wait_for(lambda: "the group's coordinator" in worker.get("/readyz")[1], "the reason", worker)
        assert worker.metric("raner_connected", client="consumer") == 0
        cluster.up(2)
        worker.wait_ready()
        assert worker.metric("raner_outage_seconds_count", client="consumer") > 0
        produce(cluster.bootstrap_servers, settings["input_topic"], texts(20))
        out = read(cluster.bootstrap_servers, [settings["output_topic"]], 20)
        assert worker.stop() == 0
    assert ids(out) == list(range(20))


@pytest.mark.parametrize("guarantee", BOTH)
def test_a_broker_slower_than_the_poll_interval_costs_no_membership(cluster, tmp_path, guarantee):
    settings = settings_on(cluster, guarantee, **LIMITS)
    servers = cluster.bootstrap_servers
    produce(servers, settings["input_topic"], texts(200))
    slowed(cluster)
    with worker_process(tmp_path, **settings) as worker:
        wait_for(lambda: worker.metric("raner_records_out_total") >= 200, "all records", worker)
        longest = worker.metric("raner_stage_seconds_sum", stage="deliver")
        assert longest > SLOW_SECONDS, "the broker has to be slower than the poll interval, or the test shows nothing"
        assert not worker.events("partitions_lost")
        assert worker.metric("raner_rebalances_total") == 1
        out = read(servers, [settings["output_topic"]], 200, more_seconds=1)
        assert worker.stop() == 0
    assert ids(out) == list(range(200))


def test_a_commit_that_is_not_answered_keeps_nothing_waiting(cluster, tmp_path):
    patient = {"kafka_socket_timeout_ms": "45000", "kafka_consumer_session_timeout_ms": "45000"}
    settings = settings_on(cluster, "at-least-once", **patient)
    servers, topic, group = cluster.bootstrap_servers, settings["input_topic"], settings["group_id"]
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        wait_for(lambda: committed(servers, group, topic) == [0] * PARTITIONS, "the starts committed", worker)
        slowed(cluster, 30, OFFSET_COMMIT)
        for done in (20, 40, 60):
            produce(servers, topic, texts(20, partition=0))
            wait_for(lambda done=done: worker.metric("raner_records_out_total") >= done, "the records", worker)
        assert not worker.events("offsets_committed"), "the answer came, and the test shows nothing"
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0


@pytest.mark.parametrize("guarantee", BOTH)
def test_a_member_that_joins_does_not_wait_for_a_slow_delivery(cluster, tmp_path, guarantee):
    # The client would give the delivery up after 15 s, and a busy machine needs as much for the join.
    patient = {"kafka_socket_timeout_ms": "45000", "kafka_transaction_timeout_ms": "60000"}
    settings = settings_on(cluster, guarantee, kafka_heartbeat_interval_ms="500", **patient)
    servers, topic = cluster.bootstrap_servers, settings["input_topic"]
    produce(servers, topic, [m for n in range(PARTITIONS) for m in texts(10, 10 * n, partition=n)])
    slowed(cluster, 30)
    with worker_process(tmp_path, **settings) as one:
        wait_for(lambda: one.metric("raner_stage_seconds_count", stage="encode") > 0, "the first batch", one)
        with worker_process(tmp_path, **settings) as other:
            wait_for(lambda: other.metric("raner_assigned_partitions") == 2, "two partitions each", other)
            assert one.metric("raner_records_out_total") == 0
            both = (one, other)
            wait_for(lambda: sum(each.metric("raner_records_out_total") for each in both) >= 40, "all records", one)
            out = read(servers, [settings["output_topic"]], 40, more_seconds=1)
            assert (one.stop(), other.stop()) == (0, 0)
    assert set(ids(out)) == set(range(40))


def test_an_idle_transactional_producer_is_listened_to(cluster, tmp_path):
    settings = settings_on(cluster, "exactly-once")
    with worker_process(tmp_path, **settings) as worker:
        wait_for(lambda: worker.metric("raner_brokers_up", client="producer") > 0, "its statistics", worker)
        assert worker.stop() == 0


def test_a_partition_that_was_lost_behind_a_long_text_is_read_on_when_it_comes_back(cluster, tmp_path):
    settings = settings_on(cluster, "at-least-once", window="40", overlap="35", kafka_heartbeat_interval_ms="500")
    servers, topic = cluster.bootstrap_servers, settings["input_topic"]
    long_text = "今天的天气比昨天好，大家都说可以出去走一走。" * 200
    for partition in range(PARTITIONS):
        produce(servers, topic, [{"value": json.dumps({"id": partition, "text": long_text}), "partition": partition}])
    with worker_process(tmp_path, **settings) as one:
        wait_for(lambda: one.metric("raner_long_documents") == PARTITIONS, "the long texts to be begun", one)
        with worker_process(tmp_path, **settings) as other:
            wait_for(lambda: other.metric("raner_assigned_partitions") == 2, "two partitions each", other)
        wait_for(lambda: one.metric("raner_assigned_partitions") == PARTITIONS, "all partitions again", one)
        produce(servers, topic, [m for n in range(PARTITIONS) for m in texts(5, 10 + 10 * n, partition=n)])
        expected = {*range(PARTITIONS), *(10 + 10 * n + i for n in range(PARTITIONS) for i in range(5))}
        out = read(servers, [settings["output_topic"]], len(expected), more_seconds=1)
        assert one.stop() == 0
    assert set(ids(out)) == expected


def client(told):
    told = {name: value for name, value in told.items() if not name.startswith("kafka_")}
    settings = load({**told, "kafka": ["consumer.fetch.wait.max.ms=50"]}, {}).settings
    connection = Connection("test", Metrics())
    return settings, connection, make_consumer(settings, connection)


class Nothing:
    """A delivery that has nothing in hand."""

    def settle(self):
        pass

    def tell(self):
        pass

    def forget(self, partitions):
        pass


def test_what_is_polled_while_a_batch_is_in_hand_is_no_more_than_the_next_one(cluster):
    told = settings_on(cluster, "at-least-once", batch_records="2")
    produce(told["bootstrap_servers"], told["input_topic"], texts(20, partition=0))
    settings, connection, consumer = client(told)
    source = KafkaSource(consumer, settings, Metrics(), connection, Nothing())
    taken = []
    while not taken:
        taken += source.fetch(0.2)
    for _ in range(5):
        time.sleep(1.05)  # it polls once a second
        source.tend()
    held = source.fetch(0.2)
    assert len(held) == 2
    taken += held
    for _ in range(100):
        taken += source.fetch(0.2)
        if len(taken) >= 20:
            break
    consumer.close()
    assert [record.offset for record in taken] == list(range(20))


def test_a_partition_that_is_assigned_later_does_not_wait_behind_all_that_the_others_have(cluster):
    told = settings_on(cluster, "at-least-once", batch_records="16")
    servers, topic = cluster.bootstrap_servers, told["input_topic"]
    for _ in range(60):  # fifty to a request, as a response has whole batches of the producer's
        produce(servers, topic, texts(50, partition=0))
    produce(servers, topic, texts(1, partition=1))
    _, _, consumer = client(told)
    consumer.incremental_assign([TopicPartition(topic, 0, 0)])
    wait_for(lambda: consumer.poll(0.1), "the first record")
    time.sleep(2)  # it would prefetch all of them
    consumer.incremental_assign([TopicPartition(topic, 1, 0)])
    time.sleep(1)
    before = 0
    while (message := consumer.poll(5.0)) and message.partition() == 0:
        before += 1
    consumer.close()
    assert message is not None
    assert before < 4 * 16 + 4 * 50


@pytest.mark.parametrize("guarantee", BOTH)
def test_clients_that_do_not_leave_in_time_tell_nothing_when_they_do(cluster, monkeypatch, caplog, guarantee):
    caplog.set_level("INFO")
    monkeypatch.setattr(both, "_LEAVING_SECONDS", 0.5)
    told = settings_on(cluster, guarantee)
    told = {name: value for name, value in told.items() if not name.startswith("kafka_")}
    settings = load({**told, "kafka": ["statistics.interval.ms=50"]}, {}).settings
    metrics, coming = Metrics(), threading.Event()
    kafka = both.Kafka(settings, metrics, Health(time.monotonic), Shutdown(60, time.monotonic))
    monkeypatch.setattr(kafka.delivery, "settle", coming.wait)  # an answer that does not come
    before = set(threading.enumerate())
    with kafka:
        wait_for(lambda: kafka.source.fetch(0.1) or not kafka.source.problem(), "an assignment")
        wait_for(lambda: kafka.source.fetch(0.1) or metrics.lag.collect()[0].samples, "the lag")
    assert metrics.registry.get_sample_value("raner_assigned_partitions") == 0
    assert not metrics.lag.collect()[0].samples
    metrics.partitions.set(3)  # the next clients'
    metrics.brokers.labels("consumer").set(9)
    caplog.clear()
    coming.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert metrics.registry.get_sample_value("raner_assigned_partitions") == 3
    assert metrics.registry.get_sample_value("raner_brokers_up", {"client": "consumer"}) == 9
    assert not caplog.records
    with pytest.raises(DrainExpired):  # ends what still waits for a broker there
        kafka._wait()
