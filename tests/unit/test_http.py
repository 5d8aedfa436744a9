import json
import logging
import socket
import struct
import threading
from contextlib import ExitStack
from http import HTTPStatus
from http.client import HTTPConnection

import pytest
from twins import Clock

from consumer import http
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


@pytest.fixture
def serve():
    with ExitStack() as opened:

        def start(route=lambda: (HTTPStatus.OK, "text/plain", b"here")):
            server = HttpServer("127.0.0.1", 0, {"/": route})
            server.start()
            opened.callback(server.stop)
            return lambda: opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))

        yield start


def test_silent_connections_are_few_and_not_for_long(serve, monkeypatch):
    monkeypatch.setattr(http, "CONNECTIONS", 3)
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.5)
    connect = serve()
    silent = [connect() for _ in range(3)]
    assert connect().recv(1) == b""  # hung up at once
    assert [connection.recv(1) for connection in silent] == [b""] * 3
    served = connect()
    served.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with served.makefile("rb") as answer:
        assert answer.read().endswith(b"here")


def test_a_request_that_no_thread_could_begin_for_keeps_no_place(serve, monkeypatch, caplog):
    def full(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(http, "CONNECTIONS", 1)
    connect = serve()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        assert connect().recv(1) == b""
    assert "http_failed" in caplog.messages
    served = connect()
    served.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with served.makefile("rb") as answer:
        assert answer.read().endswith(b"here")


def test_a_client_that_hangs_up_is_no_event_and_a_failure_is_one(serve, caplog, capfd):
    gone, wait = threading.Event(), 5

    def slow():
        gone.wait(wait)
        return HTTPStatus.OK, "text/plain", b"x" * 1_000_000

    def failing():
        raise ValueError("broken")

    client = serve(slow)()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets instead of closing
    client.close()
    gone.set()
    client = serve(failing)()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert client.recv(1) == b""
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(wait)
    assert [record.getMessage() for record in caplog.records] == ["http_failed"]
    assert "Exception occurred" not in capfd.readouterr().err  # as the standard library has it


def test_no_address_is_asked_for_its_name(monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("DNS was asked"))
    server = HttpServer("0.0.0.0", 0, {})  # noqa: S104 - the one whose name was asked for
    server.start()
    server.stop()
