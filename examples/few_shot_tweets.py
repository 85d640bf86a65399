"""Few-shot tweets: some examples show the model what is wanted, and the reply ends where an example ends.

    python examples/few_shot_tweets.py                          a tiny model, taught on the spot
    python examples/few_shot_tweets.py EleutherAI/gpt-neo-1.3B  a published one

The separator that sets the examples apart also stops the reply, and is cut from it: left to itself, the model goes on
with the next topic.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

TWEETS = {
    "rain": "A day of rain is a day of books.",
    "trains": "Nobody on a night train is in a hurry.",
    "bread": "Bread asks for little: flour, water, and your whole morning.",
    "maps": "Every map is a letter from somebody who went there first.",
    "music": "Practise slowly; the tempo comes by itself.",
}


def build(model: str) -> fc.Chain[str]:
    """Declare the chain: two examples, and a topic to write about."""
    shown = [f"topic: {topic}\ntweet: {TWEETS[topic]}" for topic in ("rain", "trains")]
    query = fc.PromptTemplate("topic: {topic}\ntweet:", values={"topic": fc.Input("topic", str, max_tokens=20)})
    return fc.Chain(fc.FewShot(examples=shown, query=query, separator="###", max_tokens=60, model=model, name="tweet"))


def teach() -> Path:
    """Teach the format and the tweets, in many orders."""
    draw = random.Random(0)
    texts = [f"topic: {topic}\ntweet: {tweet}" for topic, tweet in TWEETS.items()]
    orders = [[text] for text in texts] + [draw.sample(texts, 3) for _ in range(40)]
    return tiny.writer(["\n###\n".join(order) + "\n###\n" for order in orders], steps=160)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write two tweets in one batch, and show why each ended."""
    model = tiny.chosen(arguments, __doc__, "EleutherAI/gpt-neo-1.3B", teach)
    chain = build(model)
    topics = ("maps", "music")
    for topic, tweet in zip(topics, chain.batch([{"topic": topic} for topic in topics]), strict=True):
        print(f"{topic}: {tweet}")
    run = chain.trace(topic="maps")
    print(f"ended by: {run.requests[0].finish_reason}")


if __name__ == "__main__":
    main()
