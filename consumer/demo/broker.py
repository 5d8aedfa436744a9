"""A Kafka broker in a process of its own: the mock cluster inside librdkafka, which the Kafka client brings along.

It speaks the protocol, forgets everything when it ends, keeps at most 5 MiB a partition, and has no transactions.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys

from confluent_kafka import cimpl

from consumer.errors import DemoFailed
from consumer.interrupts import held_back
from consumer.processes import MODULE

_PRODUCER = 0
_JOIN_MILLISECONDS = 100


class EmbeddedBroker:
    """Starts the process on entering, ends it on leaving. It also ends when its owner does, however that happens."""

    def __init__(self, topics: dict[str, int]) -> None:
        """`topics` maps names to numbers of partitions."""
        self._topics = topics
        self._process: subprocess.Popen[str] | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> EmbeddedBroker:
        try:
            with held_back():
                self._process = self._started()
            assert self._process.stdout
            self.bootstrap_servers = self._process.stdout.readline().strip()
            if not self.bootstrap_servers:
                raise DemoFailed(f"the embedded broker did not start (exit status {self._process.wait()})")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def _started(self) -> subprocess.Popen[str]:
        topics = [f"{name}:{partitions}" for name, partitions in self._topics.items()]
        return subprocess.Popen(
            [*MODULE, __name__, *topics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the owner, which closes its clients before it ends this
        )


def serve(topics: dict[str, int]) -> None:
    """Serve on loopback, print the address, and return when standard input ends."""
    library = ctypes.CDLL(cimpl.__file__)  # the client's extension is linked to librdkafka, whose names it exposes
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    error = ctypes.create_string_buffer(512)
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    size = ctypes.c_size_t(len(error))
    library.rd_kafka_conf_set(configuration, b"log_level", b"3", error, size)  # it misses servers that it does not need
    client = library.rd_kafka_new(_PRODUCER, configuration, error, size)
    if not client:
        raise DemoFailed(f"the embedded broker could not be made: {error.value.decode()}")
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), 1))
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, _JOIN_MILLISECONDS)
    for name, partitions in topics.items():
        library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1)
    print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)  # noqa: T201 - read by our owner
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="+", metavar="NAME:PARTITIONS")
    pairs = [topic.rpartition(":") for topic in parser.parse_args().topics]
    serve({name: int(partitions) for name, _, partitions in pairs})
