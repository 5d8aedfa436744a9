"""Calls that wait for a broker: made again until there is an answer, and given up where one hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import KafkaError, KafkaException

from consumer.kafka.clients import T, failed, hopeless, patiently

_ANSWER_SECONDS = 5.0  # shorter, and librdkafka gives up before it has found a coordinator that moved
_STUCK_SECONDS = 8.0  # three more than the call was given


class Answers:
    """Waits for brokers that are away, and does meanwhile what has to be done."""

    def __init__(self, waiting: Callable[[], None], answered: Callable[[], None], rest: Callable[[], None]) -> None:
        """`waiting` is called during a call and may raise, `answered` after one, `rest` before it is made again."""
        self._waiting, self._answered, self._rest = waiting, answered, rest

    def until_done(self, call: Callable[[float], object], stop: Callable[[], bool] = lambda: False) -> None:
        """Call until the broker has answered, which may be after its coordinator was looked for.

        Raises `KafkaException` for an answer that no other attempt changes, and `_TIMED_OUT` where one hangs.
        """
        while not stop():
            try:
                patiently(partial(call, _ANSWER_SECONDS), self._deadline())
                self._answered()
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                self._rest()

    def ask(self, question: Callable[[], T]) -> T:
        """Return what a broker answers, however long that takes; raise `KafkaFailed` where waiting does not help."""
        while True:
            try:
                return question()  # the consumer's, which takes one caller at a time: no other thread may wait in it
            except KafkaException as error:
                if hopeless(error.args[0]):
                    raise failed(error.args[0], "asking how a transaction ended") from error
                self._waiting()
                self._rest()

    def _deadline(self) -> Callable[[], None]:
        """Return what waits for a call, and gives the client up when the call does not even heed its own time-out.

        librdkafka waits for ever for a group coordinator that it took off its list (its issues 5456 and 5511). A new
        producer of the same identity finds the coordinator, and fences whatever the old one may still send.
        """
        until = time.monotonic() + _STUCK_SECONDS

        def waiting() -> None:
            if time.monotonic() > until:  # before what may take time itself: the call may return meanwhile
                told = f"librdkafka did not return within {_STUCK_SECONDS:g} s"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, told, fatal=True))
            self._waiting()

        return waiting
