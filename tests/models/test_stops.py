"""Stop strings, held to their definition, in whatever pieces a text comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.stops import Writing, first_stop, held_back

short = st.text(alphabet="ab#\n", max_size=12)
stop_lists = st.lists(st.text(alphabet="ab#\n", min_size=1, max_size=4), min_size=1, max_size=4)


@given(text=short, stops=stop_lists)
def test_the_first_stop_is_the_one_that_ends_first(text: str, stops: list[str]) -> None:
    by_character = next(
        (
            (min(end - len(stop) for stop in stops if text[:end].endswith(stop)), end)
            for end in range(1, len(text) + 1)
            if any(text[:end].endswith(stop) for stop in stops)
        ),
        None,
    )
    assert first_stop(text, stops) == by_character


@given(text=short, stops=stop_lists)
def test_held_back_is_what_may_still_become_a_stop(text: str, stops: list[str]) -> None:
    expected = max(
        (n for n in range(len(text) + 1) for stop in stops if n < len(stop) and text[len(text) - n :] == stop[:n]),
        default=0,
    )
    assert held_back(text, stops) == expected


@given(pieces=st.lists(short, max_size=6), stops=stop_lists)
def test_what_is_given_out_is_the_text_up_to_its_stop_however_it_comes(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    stop = first_stop(whole, stops)
    expected = whole if stop is None else whole[: stop[0]]
    writing, given_out = Writing(stops), ""
    for piece in pieces:
        is_stopped = writing.add(piece)
        given_out += writing.take()
        assert expected.startswith(given_out)
        if is_stopped:
            break
    given_out += writing.take(is_last=True)
    assert given_out == writing.text == expected
    assert writing.is_stopped == (stop is not None)
