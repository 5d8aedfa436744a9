"""Where Kafka is spoken: the only modules that import confluent_kafka, the demo's embedded broker apart."""
