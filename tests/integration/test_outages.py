"""A real Kafka that stops answering, is killed, or whose connection goes silent: waited for, and nothing is lost."""

import json
import time

import pytest
from brokers import Broker, running_kafka
from proxy import running_proxy
from topics import committed, produce, read, texts
from worker_process import wait_for, worker_process

pytestmark = pytest.mark.kafka


def test_a_broker_that_stops_answering_is_waited_for_and_nothing_is_lost(own, tmp_path):
    settings = own.settings()
    servers = own.bootstrap_servers
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        produce(servers, settings["input_topic"], texts(2_000))
        wait_for(lambda: worker.metric("raner_records_out_total") > 20, "some records", worker)
        own.server.freeze()
        try:
            wait_for(lambda: "has not answered" in worker.get("/readyz")[1], "the worker to notice", worker)
            assert worker.metric("raner_connected", client="producer") == 0
            assert worker.get("/healthz")[0] == 200
        finally:
            own.server.thaw()
        out = read(servers, [settings["output_topic"]], 2_000, more_seconds=2)
        wait_for(lambda: worker.get("/readyz")[0] == 200, "the worker to be ready again", worker)
        assert worker.metric("raner_connected") == 2
        assert worker.metric("raner_outage_seconds_sum", client="producer") > 5
        assert worker.stop() == 0
    assert_nothing_lost_and_doubles_alike(out, 2_000)


def assert_nothing_lost_and_doubles_alike(out, count):
    """At-least-once: a record may come twice when its commit was not answered, both times under one record_id."""
    names = {json.loads(m.value())["record_id"]: json.loads(m.value())["id"] for m in out}
    assert sorted(names.values()) == list(range(count))


def test_a_stop_keeps_its_deadline_when_the_broker_does_not_answer(own, tmp_path):
    settings = own.settings(drain_seconds="4")
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        produce(own.bootstrap_servers, settings["input_topic"], texts(2_000))
        wait_for(lambda: worker.metric("raner_records_out_total") > 20, "some records", worker)
        own.server.freeze()
        try:
            begun = time.monotonic()
            status = worker.stop()
            took = time.monotonic() - begun
        finally:
            own.server.thaw()
    assert status == 4
    assert "RANER_DRAIN_SECONDS" in worker.log.read_text(encoding="utf-8")
    assert took < 4 + 5 + 3  # the deadline, leaving the group, and what a busy machine adds
    done = sum(max(0, n) for n in committed(own.bootstrap_servers, settings["group_id"], settings["input_topic"]))
    assert done > 0
    read(own.bootstrap_servers, [settings["output_topic"]], done)  # fails if fewer came out than are committed


def test_a_killed_broker_that_comes_back_finds_the_worker_where_it_was(own, tmp_path):
    settings = own.settings()
    with worker_process(tmp_path, **settings) as worker:
        first, *others = texts(301)
        produce(own.bootstrap_servers, settings["input_topic"], [first])
        # A broker on its own that is killed before it wrote its first transaction's markers forgets them.
        read(own.bootstrap_servers, [settings["output_topic"]], 1)
        produce(own.bootstrap_servers, settings["input_topic"], others)
        wait_for(lambda: worker.metric("raner_records_out_total") > 20, "some records", worker)
        own.server.kill()
        wait_for(lambda: worker.get("/readyz")[0] == 503, "the worker to notice", worker)
        assert worker.metric("raner_connected") < 2
        own.server.launch()
        out = read(own.bootstrap_servers, [settings["output_topic"]], 301, more_seconds=3)
        wait_for(lambda: worker.get("/readyz")[0] == 200, "the worker to be ready again", worker)
        assert worker.metric("raner_outage_seconds_count") > 0
        assert worker.stop() == 0
    assert_nothing_lost_and_doubles_alike(out, 301)


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_an_idle_worker_notices_a_half_open_connection_and_works_again(tmp_path, delivery):
    with running_proxy() as proxy, running_kafka(tmp_path / "kafka", proxy.port) as server:
        proxy.target = server.proxied_port
        direct = Broker(server.bootstrap_servers, real=True, server=server)
        through = {"bootstrap_servers": f"127.0.0.1:{proxy.port}", "kafka_socket_timeout_ms": "10000"}
        settings = {**direct.settings(delivery=delivery), **through}
        with worker_process(tmp_path, **settings) as worker:
            first, *others = texts(11)
            produce(direct.bootstrap_servers, settings["input_topic"], [first])
            read(direct.bootstrap_servers, [settings["output_topic"]], 1)
            proxy.silence()
            wait_for(lambda: "has not answered" in worker.get("/readyz")[1], "the worker to notice", worker)
            wait_for(lambda: worker.get("/readyz")[0] == 200, "the worker to be ready again", worker)
            assert worker.metric("raner_outage_seconds_sum", client="consumer") > 5
            produce(direct.bootstrap_servers, settings["input_topic"], others)
            out = read(direct.bootstrap_servers, [settings["output_topic"]], 11, more_seconds=1)
            assert worker.stop() == 0
    assert {json.loads(m.value())["id"] for m in out} == set(range(11))
