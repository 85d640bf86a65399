"""Porter's stemmer, against the examples of his paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.stem import stem

# M. F. Porter, "An algorithm for suffix stripping" (1980): its examples, with what the later steps make of them.
PAIRS = """
caresses caress  ponies poni  ties ti  caress caress  cats cat  feed feed  agreed agre  plastered plaster  bled bled
motoring motor  sing sing  conflated conflat  troubled troubl  sized size  hopping hop  tanned tan  falling fall
hissing hiss  fizzed fizz  failing fail  filing file  happy happi  sky sky  relational relat  conditional condit
rational ration  valenci valenc  digitizer digit  radicalli radic  differentli differ  vileli vile  analogousli analog
vietnamization vietnam  predication predic  operator oper  feudalism feudal  decisiveness decis  hopefulness hope
callousness callous  formaliti formal  sensitiviti sensit  sensibiliti sensibl  triplicate triplic  formative form
formalize formal  electriciti electr  electrical electr  hopeful hope  goodness good  revival reviv  allowance allow
inference infer  airliner airlin  gyroscopic gyroscop  adjustable adjust  defensible defens  irritant irrit
replacement replac  adjustment adjust  dependent depend  adoption adopt  communism commun  activate activ
angulariti angular  homologous homolog  effective effect  bowdlerize bowdler  probate probat  rate rate  cease ceas
controll control  roll roll  generalizations gener  oscillators oscil
""".split()


@pytest.mark.parametrize(("word", "wanted"), list(zip(PAIRS[::2], PAIRS[1::2], strict=True)))
def test_the_papers_examples(word: str, wanted: str) -> None:
    assert stem(word) == wanted


@given(st.text(max_size=40))
def test_a_stem_is_never_longer_than_its_word_and_one_letter(word: str) -> None:
    assert len(stem(word)) <= len(word) + 1


@given(st.text(alphabet="éß漢1-'", max_size=10))
def test_what_is_not_plain_english_stays(word: str) -> None:
    assert stem(word) == word
