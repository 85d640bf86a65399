"""The journal: cache, crash-resume, replay and audit in one SQLite file."""
