"""How a chain runs: a plan of flat steps, a core that decides, and drivers that do.

To understand it, read ``plan`` (what is known before the run), ``core`` (the rules, without I/O), ``session`` (the
world around the core) and ``drive`` (the loop around both); then ``line`` (how a model is asked). The rest, by what it
is for:

Before a run      ``binding`` (of calls), ``choosing`` (of models), ``edited``, ``settings``
What comes in     ``inputs``, ``cleaning``, ``empty_texts``, ``limits``, ``operands``
Plain chains      ``columns`` (a loop), ``listening`` (its twin that tells), ``awaiting`` (a coroutine a row)
The rules         ``effects`` (what a step asks of the core), ``control``, ``frames``, ``schedule``
Around them       ``world`` (the seams), ``known`` and ``cached`` (the store), ``counting``, ``failure``, ``drawing``,
                  ``passing`` (streamed text)
Asking models     ``hosts`` (threads), ``batching``, ``calling``, ``replies``, ``refused_replies``
Driving           ``executor`` (which way to run), ``drive_async``, ``async_values``, ``signals``, ``holding``
Without running   ``preview``, ``authors``, ``prompt_changes``
"""
