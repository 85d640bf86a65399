"""Documents and questions, drawn to share words and to hold what a reader stumbles over."""

from __future__ import annotations

from hypothesis import strategies as st

_SENTENCES = [
    "The old mill was built in 1871 by Ada Lovelace.", "It stood in Old Vienna, near the river.", "Nobody knew why.",
    "Dr. Smith paid $3.5 million for 42 engines.", "漢字の本。", "It’s a (small) “wheel”…", "x" * 70, "y" * 500,
    "- stone", "{b} {{c}}",
    "Because the water was low, the wheel stopped on 3 May 1902.", "🙂", "No!", "\u00a0", "Engine: twelve horses.",
]  # fmt: skip
_GAPS = st.sampled_from([" ", "\n", "\n\n", ""])
DOCUMENTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.tuples(st.sampled_from(_SENTENCES), _GAPS), max_size=12).map(
        lambda parts: "".join(sentence + gap for sentence, gap in parts)
    ),
)
QUESTIONS = st.one_of(
    st.sampled_from(
        [
            "When was the mill built?",
            "Who built the mill?",
            "How many engines were paid for?",
            "Where did it stand?",
            "Why did the wheel stop?",
            "What was low?",
            "Was it?",
            "",
            "Which city?",
            "How?",
            "漢字",
        ]
    ),
    st.text(max_size=30),
)
