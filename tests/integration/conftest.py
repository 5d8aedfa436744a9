"""A real Kafka for tests that take its rights away, or stop it."""

import pytest
from brokers import Broker, running_kafka


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_kafka(
        tmp_path_factory.mktemp("own-kafka"),
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        allow_everyone_if_no_acl_found="true",
        auto_create_topics_enable="false",
    ) as server:
        yield server


@pytest.fixture(params=["at-least-once", "exactly-once"])
def own(request, server):
    """A real Kafka of this module's own, with rights that can be taken away and no topics by themselves."""
    return Broker(server.bootstrap_servers, real=True, server=server, defaults={"delivery": request.param})
