"""Sentences are cut where the text features cut them, and one that is left out leaves a text as people write it."""

from itertools import pairwise

import pytest

from trm_aes.model.text_features_trm import Text
from trm_aes.scoring.sentences import joined, sentence_spans, without, without_all

TEXTS = {
    "plain": ("One is here. Two is there! Is three?", ["One is here.", "Two is there!", "Is three?"]),
    "no mark at the end": ("One. Two", ["One.", "Two"]),
    "space around": ("  \n One.  \tTwo.\n\n", ["One.", "Two."]),
    "line breaks": ("A title\nOne.\r\nTwo\n\n\nThree", ["A title", "One.", "Two", "Three"]),
    "lost line break": ("A title   One.   Two", ["A title", "One.", "Two"]),
    "closing quotes": ('He said "go." She went. (Really?) Yes.', ['He said "go."', "She went.", "(Really?)", "Yes."]),
    "typographic": ("He said “go.” She went… Away.", ["He said “go.”", "She went…", "Away."]),
    "marks without words": ("One. ... !! Two. * * *", ["One. ... !!", "Two. * * *"]),
    "marks first": ("... One. Two.", ["... One.", "Two."]),
    "number": ("It is 3.5 here. Two.", ["It is 3.5 here.", "Two."]),
    "no words": ("... !!", []),
    "empty": ("", []),
}


@pytest.mark.parametrize("case", TEXTS)
def test_sentences_are_those_that_the_text_features_count(case):
    text, sentences = TEXTS[case]
    spans = sentence_spans(text)
    assert [text[start:end] for start, end in spans] == sentences
    assert len(spans) == len(Text.read(text).sentences)


def test_only_space_stands_between_sentences():
    text = "\n".join(text for text, _ in TEXTS.values())
    bounds = [0, *(place for span in sentence_spans(text) for place in span), len(text)]
    between = [text[start:end] for start, end in list(pairwise(bounds))[::2]]
    assert len(between) == 1 + sum(len(sentences) for _, sentences in TEXTS.values())
    assert not "".join(between).strip()


@pytest.mark.parametrize(
    ("text", "sentence", "left"),
    [
        ("One. Two. Three.", "Two.", "One. Three."),
        ("One. Two. Three.", "One.", "Two. Three."),
        ("One. Two. Three.\n", "Three.", "One. Two."),
        # Paragraphs stay apart, whichever side of the break goes.
        ("One. Two.\n\nThree. Four.", "Two.", "One.\n\nThree. Four."),
        ("One. Two.\n\nThree. Four.", "Three.", "One. Two.\n\nFour."),
        ("One.\n\nTwo.\n\nThree.", "Two.", "One.\n\nThree."),
        ("One.   Two. Three.", "Two.", "One.   Three."),
        ("One.", "One.", ""),
    ],
)
def test_a_sentence_is_left_out_with_the_space_that_is_its_own(text, sentence, left):
    start = text.index(sentence)
    assert without(text, (start, start + len(sentence))) == left


def test_several_sentences_are_left_out():
    text = "One. Two. Three.\nFour. Five."
    spans = sentence_spans(text)
    assert without_all(text, [spans[3], spans[1], spans[2]]) == "One.\nFive."
    assert without_all(text, [spans[0], spans[4]]) == "Two. Three.\nFour."


def test_neighbors_are_joined_where_there_are_too_many():
    spans = sentence_spans("A. B. C. D. E. F. G.")
    assert joined(spans, 7) == spans
    assert joined(spans, 3) == [(0, 5), (6, 11), (12, 20)]
    assert joined(spans, 1) == [(0, 20)]
