"""How each task asks: programs are generators that yield requests and receive replies, without I/O of their own.

    def summarize(site, *, text, focus, max_tokens) -> Program[str]:
        reply = yield from ask(SummarizeRequest(text=text, focus=focus, max_tokens=max_tokens))
        return reply.text

A program holds no thread and knows no event loop (as h11 and h2 do for protocols), so any driver can run it, and a
test is its own driver.

A task each      ``summarize``, ``answer``, ``generate``, ``label``, ``translate``; ``text`` asks no model
Beneath them     ``ask`` (the two verbs), ``room``, ``overflow``, ``reading``, ``conversation``, ``typed``,
                 ``once_more``
Before a run     ``proof`` (will all fit?), ``table`` (which program for which node)
"""
