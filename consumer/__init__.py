"""The Kafka worker: reads messages, has their entities found, publishes them annotated."""
