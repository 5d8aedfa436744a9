"""How the clients log in, and what they may do: asked at the start, since most rights only show when they are used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation

from consumer.errors import KafkaFailed, SettingsError
from consumer.kafka.lines import alike
from consumer.kafka.making import made
from consumer.settings import Settings, kafka_properties
from consumer.topics import is_pattern

_ASK_SECONDS = 10.0
_TLS = "SSL routines"  # how OpenSSL begins, in errors that bear the code of a broken connection
_NOT_LET_IN = {KafkaError._AUTHENTICATION, KafkaError._SSL}  # which shows nowhere but in the error event
_ADMINISTRATORS = ("sasl.", "ssl.", "security.", "enable.sasl.", "client.", "socket.", "broker.address.")

log = logging.getLogger(__name__)


def connection_properties(settings: Settings) -> dict[str, Any]:
    """Return what every client needs to reach the brokers and to be let in; raise `SettingsError` if it lacks some."""
    password, key_password = _secret(settings, "sasl_password"), _secret(settings, "tls_key_password")
    _check_password(settings, password)
    told = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "raner-stream",
        "security.protocol": _protocol(settings),
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": password,
        "ssl.ca.location": settings.tls_ca,
        "ssl.certificate.location": settings.tls_certificate,
        "ssl.key.location": settings.tls_key,
        "ssl.key.password": key_password,
    }
    return {name: str(value) for name, value in told.items() if value}


def administrator(settings: Settings, on_error: Callable[[KafkaError], object] | None = None) -> AdminClient:
    """Return a client that asks questions; `on_error` hears why nobody answers."""
    own = {
        name: value
        for name, value in kafka_properties(settings, "consumer").items()
        if name.startswith(_ADMINISTRATORS)
    }
    return made(AdminClient, {**connection_properties(settings), **own, "error_cb": on_error or _note})


def check_rights(settings: Settings) -> None:
    """Raise `KafkaFailed` that names every right that is missing; what the brokers do not tell is passed over."""
    unheard: dict[str, KafkaError] = {}  # a broker that is away is tried again many times a second
    admin = administrator(settings, lambda error: unheard.setdefault(alike(error.str()), error))
    needed = {settings.output_topic: AclOperation.WRITE, settings.dead_letter_topic: AclOperation.WRITE}
    if not is_pattern(settings.input_topic):
        needed[settings.input_topic] = AclOperation.READ
    askable = _has_controller(admin)
    missing = _missing_of_topics(admin, needed) if askable else []
    while admin.poll(0):  # error events are served here alone
        pass
    for error in unheard.values():
        _note(error)
        if error.code() in _NOT_LET_IN or _TLS in error.str():
            raise KafkaFailed(
                f"the brokers do not let this worker in: {error.str()}. Check its name, its password, its certificates"
            )
    if askable:
        missing += _missing_of_group(admin, settings.group_id)
    if missing:
        told = ", nor ".join(missing)
        raise KafkaFailed(f"this worker has no right {told}; grant it (kafka-acls.sh), and start again")


def _has_controller(admin: AdminClient) -> bool:
    """Return whether there is a cluster to ask: the embedded broker has no controller, and would be waited for."""
    try:
        cluster = admin.list_topics(timeout=_ASK_SECONDS)
        return cluster.controller_id in cluster.brokers
    except KafkaException as error:
        log.warning("rights_unknown", extra={"code": error.args[0].name(), "reason": error.args[0].str()})
        return False


def _missing_of_topics(admin: AdminClient, needed: Mapping[str, AclOperation]) -> list[str]:
    futures = admin.describe_topics(
        TopicCollection(list(needed)), include_authorized_operations=True, request_timeout=_ASK_SECONDS
    )
    missing = []
    for topic, future in futures.items():
        operations = _operations(future, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        if operations is not None and needed[topic] not in operations:
            missing.append(f"to {needed[topic].name.lower()} the topic {topic!r}")
    return missing


def _missing_of_group(admin: AdminClient, group: str) -> list[str]:
    (future,) = admin.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=_ASK_SECONDS
    ).values()
    operations = _operations(future, KafkaError.GROUP_AUTHORIZATION_FAILED)
    return [] if operations is None or AclOperation.READ in operations else [f"to read as the group {group!r}"]


def _operations(future: Any, refused: int) -> Collection[AclOperation] | None:
    """Return what is allowed, nothing where not even asking is, and None where the broker does not say."""
    try:
        return future.result().authorized_operations or None
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if reason.code() == refused:
            return ()
        if reason.code() not in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND):
            log.warning("rights_unknown", extra={"code": reason.name(), "reason": reason.str()})
        return None


def _check_password(settings: Settings, password: str) -> None:
    if settings.sasl_mechanism not in ("", "OAUTHBEARER") and not (settings.sasl_username and password):
        raise SettingsError(
            f"sasl_mechanism {settings.sasl_mechanism} needs RANER_SASL_USERNAME, and RANER_SASL_PASSWORD or "
            "RANER_SASL_PASSWORD_FILE"
        )
    told = settings.sasl_mechanism or any(".mechanism" in name for name in settings.kafka)
    if (settings.sasl_username or password) and not told:
        raise SettingsError(
            "a name or a password to log in with is given, and no way to: it would not be used; set "
            "RANER_SASL_MECHANISM (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)"
        )


def _protocol(settings: Settings) -> str:
    if settings.security_protocol:
        return settings.security_protocol
    if settings.sasl_mechanism:
        return "SASL_SSL"  # a password does not go over the line in the clear unless told to
    return "SSL" if settings.tls_ca or settings.tls_certificate else ""


def _secret(settings: Settings, name: str) -> str:
    """Return a secret from its setting, or from the file that its setting names; raise `SettingsError` if it cannot."""
    given, path = getattr(settings, name), getattr(settings, f"{name}_file")
    if not path:
        return str(given)
    if given:
        raise SettingsError(f"{name} and {name}_file are both given; leave one of them out")
    try:
        return str(path.read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_file {path} cannot be read: {error}") from error


def _note(error: KafkaError) -> None:
    log.warning("kafka_error", extra={"client": "administrator", "code": error.name(), "reason": error.str()})
