"""What a chain is declared with: frozen, typed nodes that refer to one another. No I/O, no models.

Declarations  ``text``, ``tasks``, ``control``, ``function`` (a user's own)
Beneath them  ``ref`` (what each of them is), ``types`` (what fits where), ``bodies``, ``frozen``, ``threads``
Held to       ``template``, ``labels``, ``names``, ``schema``; told by ``problems``
"""
