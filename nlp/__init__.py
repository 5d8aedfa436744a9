"""Named entities in Chinese text with a RaNER model: `load(path).annotate(texts)`. Knows neither Kafka nor messages."""

from nlp.load import load

__all__ = ["load"]
