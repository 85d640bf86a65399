"""The journal: cache, crash-resume, replay and audit in one SQLite file.

For users     ``store`` (the handle), ``runs`` and ``recording`` (a run, written down), ``history`` (what was run),
              ``replay``, ``housekeeping``
Same work?    ``key`` (of a request), ``functions`` (of a call), ``inputs`` (of a run), ``models`` (what a replay needs)
Values        ``reply`` (as JSON), ``failures`` (for replays alone), ``plain`` (records that are as most are)
Day to day    ``ledger`` (request → reply), ``entries`` (key → entry), ``places`` (where), ``block`` (many to a row),
              ``usage`` (of which run)
One file      ``journal`` (transactions), ``change``, ``opening``, ``schema``, ``migration``
Many at it    ``lock`` (commits), ``byte_lock``, ``turn`` (at a run), ``claims`` (at a request)
"""
