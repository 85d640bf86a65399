"""Seeing a run: progress, traces and reports, all readers of the one stream of events."""
