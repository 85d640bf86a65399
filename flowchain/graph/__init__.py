"""Is the chain right? Declarations become a graph with names; the graph is checked, written down and drawn.

Built        ``build``, ``inline`` (a chain within a chain), ``numbering``, ``outline``, ``flat`` (for pickling)
Checked      ``check``, ``samples`` (what a model is shown), ``report``
In files     ``document`` (written), ``reader`` (read), ``strict_json``, ``type_names``, ``retry_rules``
In pictures  ``draw``
"""
