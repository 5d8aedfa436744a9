"""Trials by fire: workers are killed, stopped and replaced, and a ledger tells what became of every record."""
