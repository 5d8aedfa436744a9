import json
import logging
from http.client import HTTPConnection

import pytest
from twins import Clock

from consumer.errors import SettingsError
from consumer.health import Health
from consumer.http import HttpServer, routes
from consumer.logs import JsonFormatter
from consumer.metrics import Metrics


@pytest.fixture
def scene():
    clock, metrics = Clock(), Metrics()
    health = Health(clock)
    server = HttpServer("127.0.0.1", 0, routes(metrics, health, lambda: metrics.resident.set(7)))
    server.start()

    def get(path, method="GET"):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    yield clock, health, get, server
    server.stop()


def test_readiness_tells_what_is_missing(scene):
    _, health, get, _ = scene
    assert get("/readyz") == (503, "starting\n")
    health.watch(lambda: None, lambda: "no partitions", lambda: "no broker")
    assert get("/readyz") == (503, "no partitions; no broker\n")
    health.watch(lambda: None)
    assert get("/readyz?verbose") == (200, "ok\n")


def test_liveness_follows_the_loops_heartbeat_and_nothing_else(scene):
    clock, health, get, _ = scene
    health.watch(lambda: "no broker")
    assert get("/healthz") == (200, "ok\n")
    clock.time += 61
    assert get("/healthz") == (503, "the loop has not moved for 61 s\n")
    health.beat()
    assert get("/healthz")[0] == 200


def test_metrics_are_up_to_date_when_they_are_read(scene):
    _, _, get, _ = scene
    status, body = get("/metrics")
    assert status == 200
    assert "raner_resident_memory_bytes 7.0" in body


def test_other_paths_are_told_where_to_go(scene):
    assert scene[2]("/") == (404, "not here; try /metrics, /healthz, /readyz\n")
    assert scene[2]("/healthz", "HEAD") == (200, "")


def test_a_port_in_use_is_refused_with_what_to_do(scene):
    with pytest.raises(SettingsError, match=r"cannot listen on 127.0.0.1:\d+: .*0 picks a free one"):
        HttpServer("127.0.0.1", scene[3].port, {})


def test_an_address_that_is_none_of_ours_is_refused_and_the_port_is_not_to_blame():
    with pytest.raises(SettingsError, match=r"cannot listen on 192.0.2.1:0: .*; choose another RANER_HTTP_HOST"):
        HttpServer("192.0.2.1", 0, {})


def test_version_6_of_the_internet_protocol_is_served_too():
    server = HttpServer("::1", 0, {})
    server.start()
    connection = HTTPConnection("::1", server.port, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().status == 404
    connection.close()
    server.stop()


def test_a_log_event_is_one_line_of_json():
    record = logging.LogRecord("consumer", logging.INFO, "x.py", 1, "partitions_assigned", (), None)
    record.partitions = ["in[0]"]
    line = JsonFormatter().format(record)
    event = json.loads(line)
    assert (event["level"], event["event"], event["partitions"]) == ("info", "partitions_assigned", ["in[0]"])
    assert "\n" not in line
