"""A model behind a server: a poem written while you watch, and a batch that is answered eight at a time.

    python examples/openai_server.py                                          a stand-in server on this machine
    python examples/openai_server.py --base-url http://127.0.0.1:8000/v1 --model qwen3      vLLM, llama.cpp, Ollama …
    python examples/openai_server.py --base-url https://host/v1 --model m --api-key-env KEY one that wants a key

The stand-in speaks just enough of OpenAI's HTTP interface to show what goes over the wire.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import flowchain as fc
from flowchain.events import TextPiece

LINES = ("The engine waits.\n", "A wheel, a card, a thread,\n", "and numbers turn to cloth.\n", "The end.\n")


class StandIn(BaseHTTPRequestHandler):
    """Answers every conversation: a poem where one is asked for, else the number of letters in the last word."""

    def do_POST(self) -> None:  # the name is http.server's
        """Write a reply as a stream of events, one a piece of text, as such servers do."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = asked["messages"][-1]["content"]
        pieces = LINES if "poem" in prompt else (str(len(prompt.split()[-1])),)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for piece in pieces:
            self._send({"model": asked["model"], "choices": [{"index": 0, "delta": {"content": piece}}]})
        self._send({"model": asked["model"], "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about calls."""

    def _send(self, event: dict[str, object]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")


@contextmanager
def stand_in() -> Iterator[str]:
    """Serve on a free port of this machine, and give the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def show(model: fc.OpenAIModel) -> None:
    """Watch a poem come, which ends at its stop string; then count letters in one batch."""
    poem = fc.Chain(fc.Generate(prompt="Write a poem about a machine.", stop="The end.", max_tokens=200, model=model))
    for event in poem.stream():
        if isinstance(event, TextPiece):
            print(event.text, end="", flush=True)
    count = fc.Generate(
        prompt=fc.PromptTemplate(
            template="Give the number of letters and nothing else: {word}", values={"word": fc.Input("word", str)}
        ),
        max_tokens=20,
        model=model,
    )
    words = ["engine", "wheel", "card"]
    for word, letters in zip(words, fc.Chain(count).batch([{"word": word} for word in words]), strict=True):
        print(f"{word}: {letters}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Use the server that is named, or a stand-in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="of the server, as in http://127.0.0.1:8000/v1")
    parser.add_argument("--model", default="stand-in", help="its name for the model")
    parser.add_argument("--api-key-env", help="the variable of the environment that holds the key")
    given = parser.parse_args(arguments)
    if given.base_url:
        show(fc.OpenAIModel(given.model, base_url=given.base_url, api_key_env=given.api_key_env, max_in_flight=8))
        return
    with stand_in() as address:
        show(fc.OpenAIModel(given.model, base_url=address, max_in_flight=8))


if __name__ == "__main__":
    main()
