import pytest
from confluent_kafka import KafkaError, KafkaException

from consumer.errors import KafkaFailed
from consumer.kafka.answers import Answers


class Broker:
    """Gives the answers of a list, errors among them."""

    def __init__(self, *answers):
        self.answers, self.rests, self.answered = list(answers), 0, 0

    def __call__(self, *_):
        answer = self.answers.pop(0)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return answer

    def rest(self):
        self.rests += 1

    def note(self):
        self.answered += 1

    def waited_for(self):
        return Answers(lambda: None, self.note, self.rest)


AWAY = KafkaError(KafkaError.NOT_COORDINATOR, "moved")


def test_a_question_is_asked_until_there_is_an_answer():
    broker = Broker(AWAY, KafkaError(KafkaError._TIMED_OUT), 7)
    assert broker.waited_for().ask(broker) == 7
    assert broker.rests == 2


def test_a_question_that_may_not_be_asked_ends_the_worker():
    broker = Broker(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "no right"))
    with pytest.raises(KafkaFailed, match="asking how a transaction ended: no right"):
        broker.waited_for().ask(broker)


def test_a_call_is_made_again_only_where_that_may_help():
    broker = Broker(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True), None)
    broker.waited_for().until_done(broker)
    assert (broker.rests, broker.answered) == (1, 1)
    broker = Broker(KafkaError(KafkaError._FENCED, "another"), None)
    with pytest.raises(KafkaException, match="another"):
        broker.waited_for().until_done(broker)
    assert (broker.rests, broker.answered) == (0, 0)


def test_a_call_is_not_made_once_a_stop_is_asked_for():
    broker = Broker()
    broker.waited_for().until_done(broker, lambda: True)
    assert broker.answered == 0
