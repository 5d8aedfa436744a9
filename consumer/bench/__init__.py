"""Measurements that anybody can repeat: what the note's techniques do, and what each engine does. See `--help`."""
