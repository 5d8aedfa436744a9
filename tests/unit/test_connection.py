import json

import pytest
from confluent_kafka import KafkaError
from twins import Clock

from consumer.kafka.connection import Connection
from consumer.metrics import Metrics

UP = {"name": "a:9092/1", "nodeid": 1, "state": "UP", "waitresp_cnt": 1, "rxidle": 100_000, "txidle": 100_000}
SILENT = UP | {"rxidle": 7_000_000, "txidle": 6_000_000}
GROUP = {"state": "up", "join_state": "steady", "stateage": 60_000}


def statistics(*brokers, group=GROUP, **more):
    own = {"type": "consumer", "msg_cnt": 0, "brokers": {b["name"]: b for b in brokers}, "topics": {}, "cgrp": group}
    return json.dumps({**own, **more})


@pytest.fixture
def scene():
    clock, metrics = Clock(), Metrics()

    def sample(name):
        return metrics.registry.get_sample_value(f"raner_{name}", {"client": "consumer"})

    return Connection("consumer", metrics, 5.0, clock), clock, sample


@pytest.mark.parametrize(
    ("broker", "problem"),
    [
        (UP, None),
        (SILENT, "consumer: a:9092/1 has not answered for 6 s"),
        (SILENT | {"waitresp_cnt": 0}, None),  # it owes nothing
        (SILENT | {"txidle": 100_000}, None),  # the question was just asked
        (SILENT | {"rxidle": 100_000}, None),  # it is slow, and answers others
    ],
)
def test_a_broker_that_owes_an_answer_for_too_long_is_a_problem(scene, broker, problem):
    connection, _, sample = scene
    connection.on_statistics(statistics(broker))
    assert connection.problem() == problem
    assert sample("connected") == (problem is None)


@pytest.mark.parametrize(
    ("join_state", "problem"),
    [("steady", "consumer: GroupCoordinator has not answered for 6 s"), ("wait-join", None), ("wait-sync", None)],
)
def test_a_coordinator_may_hold_an_answer_back_while_the_group_forms(scene, join_state, problem):
    connection, _, _ = scene
    coordinator = SILENT | {"name": "GroupCoordinator", "nodeid": -1}
    connection.on_statistics(statistics(UP, coordinator, group=GROUP | {"join_state": join_state}))
    assert connection.problem() == problem


def test_a_group_without_a_coordinator_is_a_problem(scene):
    connection, _, _ = scene
    connection.on_statistics(statistics(UP, group=GROUP | {"state": "query-coord", "stateage": 3_000}))
    assert connection.problem() == "consumer: no connection to the group's coordinator (query-coord)"


def test_the_lag_is_that_of_what_is_assigned_by_what_is_committed(scene):
    """librdkafka's own figure knows no offsets of transactions, and goes on for partitions that are gone."""
    connection, _, _ = scene
    ends = {"0": {"ls_offset": 120, "consumer_lag": 120}, "1": {"ls_offset": 50, "consumer_lag": 7}}
    told = statistics(UP, topics={"in": {"topic": "in", "partitions": ends}})

    def lags():
        found = connection.lag._gauge.collect()[0].samples
        return {int(sample.labels["partition"]): sample.value for sample in found}

    connection.lag.assigned({("in", 0): 20, ("in", 1): -1001})
    connection.on_statistics(told)
    assert lags() == {0: 100}
    connection.lag.committed(("in", 0), 110)
    connection.on_statistics(told)
    assert lags() == {0: 10}
    connection.lag.forget([("in", 0), ("in", 1)])
    connection.on_statistics(told)
    assert lags() == {}


def test_an_outage_is_measured_from_its_beginning_to_its_end(scene):
    connection, clock, sample = scene
    clock.time = 100
    connection.on_statistics(statistics(SILENT))  # six seconds late
    clock.time = 110
    connection.on_statistics(statistics(SILENT))
    connection.on_success()  # another broker's answer
    assert (sample("outage_seconds_count"), sample("connected")) == (0, 0)
    connection.on_statistics(statistics(UP))
    assert (sample("outage_seconds_count"), sample("outage_seconds_sum"), sample("connected")) == (1, 16, 1)


def test_all_brokers_down_is_a_problem_until_one_answers(scene):
    connection, clock, sample = scene
    for _ in range(2):
        connection.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        connection.on_statistics(statistics(UP | {"state": "INIT"}))
        assert connection.problem() == "consumer: 1/1 brokers are down"
        clock.time += 3
        connection.on_success()
        assert connection.problem() is None
    assert (sample("outage_seconds_count"), sample("outage_seconds_sum")) == (2, 6)


def test_a_coordinator_that_answers_ends_an_outage_where_nothing_is_fetched(scene):
    connection, _, sample = scene
    connection.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    coordinator = UP | {"name": "GroupCoordinator", "nodeid": -1}
    connection.on_statistics(statistics(UP | {"state": "INIT"}, coordinator))
    assert (connection.problem(), sample("connected"), sample("brokers_up")) == (None, 1, 0)


@pytest.mark.parametrize(("waiting", "problem"), [(0, None), (1, "consumer: 1/1 brokers are down")])
def test_a_producer_needs_a_broker_only_while_it_has_something_to_send(scene, waiting, problem):
    connection, _, _ = scene
    connection.on_statistics(statistics(UP, type="producer", msg_cnt=waiting))
    connection.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert connection.problem() == problem
    connection.on_statistics(statistics(UP | {"state": "INIT"}, type="producer", msg_cnt=0))
    assert connection.problem() is None


def test_an_error_that_is_tried_again_many_times_a_second_is_logged_once(scene, caplog):
    connection, _, _ = scene
    for _ in range(5):
        connection.on_error(KafkaError(KafkaError._TRANSPORT, "connection refused"))
        connection.on_error(KafkaError(KafkaError._TIMED_OUT, "no answer"))
    told = [record.code for record in caplog.records if record.message == "kafka_error"]
    assert told == ["_TRANSPORT", "_TIMED_OUT"]
    assert connection.problem() is None


def test_clients_that_are_given_up_are_not_listened_to(scene):
    connection, _, sample = scene
    told = connection.callbacks()
    connection.give_up()
    told["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    told["stats_cb"](statistics(SILENT))
    assert (connection.problem(), sample("connected"), sample("brokers_up")) == (None, 1, None)
