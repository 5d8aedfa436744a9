"""Fixtures shared by all kinds of tests: the brokers, and what a test may not do in continuous integration."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from brokers import Broker, running_kafka
from hypothesis import settings
from kafka_server import KafkaServer

from consumer.demo.broker import EmbeddedBroker

NO_SKIPS = "TEST_NO_SKIPS"  # set in continuous integration, where what a test needs has to be there

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(NO_SKIPS) and reporter and (skipped := reporter.stats.get("skipped")):
        reporter.write_line(f"{len(skipped)} skipped, and {NO_SKIPS} is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("RANER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[str]:
    with EmbeddedBroker({"unused": 1}) as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def real_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, KafkaServer | None]]:
    if given := os.environ.get("TEST_BOOTSTRAP_SERVERS"):
        yield given, None
        return
    with running_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server.bootstrap_servers, server


@pytest.fixture
def embedded(embedded_servers: str) -> Broker:
    """The embedded broker, shared by the tests of a session."""
    return Broker(embedded_servers, real=False)


@pytest.fixture
def real(real_servers: tuple[str, KafkaServer | None]) -> Broker:
    """A real Apache Kafka, shared by the tests of a session."""
    servers, server = real_servers
    return Broker(servers, real=True, server=server)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each broker in turn: one test body holds on both."""
    each: Broker = request.getfixturevalue(request.param)
    return each
