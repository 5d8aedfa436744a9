"""What goes along with the offsets of a transaction, by a producer that refuses what it is told to."""

from dataclasses import replace

from confluent_kafka import KafkaError, TopicPartition
from twins import record

from consumer.kafka.exactly_once import ExactlyOnceDelivery, Size
from consumer.kafka.verdicts import InDoubt
from consumer.records import Outcome


class Member:
    """A consumer that has the partition."""

    def assignment(self):
        return [TopicPartition("in", 0)]

    def consumer_group_metadata(self):
        return object()

    def memberid(self):
        return "one"


class Producer:
    """Takes transactions, but for outcomes of these offsets, once each."""

    def __init__(self, refuses):
        self.refuses, self.committed = set(refuses), []

    def attempt(self, outcomes, offsets, _):
        refused = [outcome for outcome in outcomes if outcome.record.offset in self.refuses]
        self.refuses -= {outcome.record.offset for outcome in refused}
        if not refused:
            self.committed += [(place.offset, place.metadata) for place in offsets]
        return [(outcome, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)) for outcome in refused]

    def serve(self):
        pass


class Doubt(Producer):
    """Loses sight of its first transaction, of which the group has offset 2."""

    def attempt(self, outcomes, offsets, group):
        if not self.committed:
            self.committed.append("in doubt")
            raise InDoubt
        return super().attempt(outcomes, offsets, group)

    def ask(self, _):
        return [TopicPartition("in", 0, 2)]


class Progress:
    def __init__(self):
        self.told = []

    def committed(self, offsets):
        self.told.append(offsets)


def test_what_is_told_along_with_a_refused_records_successor_is_committed_with_the_last_offset():
    producer = Producer(refuses={1})
    delivery = ExactlyOnceDelivery(Member(), producer, Size(1, 1, 0.0), Progress())
    outcomes = [Outcome(record(offset, "x"), b"x", ()) for offset in range(3)]
    [refusal] = delivery.deliver([*outcomes[:2], replace(outcomes[2], note="nothing dead")]).refused
    assert producer.committed == [(1, "")], "what lies before the refused one"
    delivery.deliver([replace(refusal.outcome, note="one dead")])
    assert producer.committed[1:] == [(3, "one dead")]


def test_what_a_transaction_in_doubt_brought_through_is_told_as_committed():
    progress = Progress()
    delivery = ExactlyOnceDelivery(Member(), Doubt(refuses=()), Size(1, 1, 0.0), progress)
    receipt = delivery.deliver([Outcome(record(offset, "x"), b"x", ()) for offset in range(3)])
    assert [outcome.record.offset for outcome in receipt.published] == [0, 1, 2]
    assert progress.told == [{("in", 0): 2}, {("in", 0): 3}]
