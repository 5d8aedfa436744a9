"""librdkafka's mock cluster in this process, with hands on its coordinators and on the time that its answers take."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import cimpl

PRODUCE, OFFSET_COMMIT = 0, 8  # Kafka's numbers of the requests


class MockCluster:
    """`bootstrap_servers` and what can be done to the brokers, which are numbered from 1."""

    def __init__(self, brokers: int) -> None:
        self._library = ctypes.CDLL(cimpl.__file__)
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        error = ctypes.create_string_buffer(512)
        configuration = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"3", error, len(error))
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(0, configuration, error, len(error)))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, brokers))
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.bootstrap_servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def coordinate(self, kind: str, name: str, broker: int) -> None:
        """Have a broker coordinate a "group" or a "transaction" of this name from now on."""
        assert not self._library.rd_kafka_mock_coordinator_set(self._cluster, kind.encode(), name.encode(), broker)

    def delay(self, broker: int, request: int, milliseconds: int) -> None:
        """Have the broker's next answer to a request of this number take its time."""
        count, no_error = ctypes.c_size_t(1), 0
        assert not self._library.rd_kafka_mock_broker_push_request_error_rtts(
            self._cluster, broker, ctypes.c_int16(request), count, no_error, milliseconds
        )

    def down(self, broker: int) -> None:
        assert not self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int) -> None:
        assert not self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextmanager
def mock_cluster(brokers: int) -> Iterator[MockCluster]:
    cluster = MockCluster(brokers)
    try:
        yield cluster
    finally:
        cluster.close()
