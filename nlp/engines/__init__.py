"""Runtimes that score token batches, each behind the `Engine` port."""
