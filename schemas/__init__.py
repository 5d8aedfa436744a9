"""The wire contract of the annotated stream. Knows neither the core nor Kafka."""
