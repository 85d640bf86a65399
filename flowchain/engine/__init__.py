"""How a chain runs: a plan of flat steps, a core that decides, and drivers that do.

Read in this order: ``plan`` (what is known before the run), ``columns`` (chains without models, at loop speed),
``core`` (the scheduling rules, without I/O), ``batching`` (what goes into one model call), ``hosts`` (a model's
thread), ``drive`` (the loop around the core).
"""
