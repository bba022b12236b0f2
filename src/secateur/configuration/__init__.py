"""The configuration of a run: its schema, its checks, and the run names derived from it."""
