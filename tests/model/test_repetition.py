"""What an essay says a second time, word for word, is read once."""

import time

import pytest

from trm_aes.model.essay_tokens import encode_essays
from trm_aes.model.repetition import without_repetition

ESSAY = (
    "Phones help us to learn at home and at school, every day. They are small, and they are cheap!\n\n"
    'My teacher says: "No phones in class." I do not agree with her about that. Do you agree with her?'
)


@pytest.mark.parametrize("between", [" ", "\n\n"])
def test_a_doubled_essay_is_the_essay(between):
    assert without_repetition(ESSAY + between + ESSAY).rstrip() == ESSAY
    without_end = ESSAY.rstrip("?")
    assert without_repetition(f"{without_end} {without_end}") == without_end


def test_case_and_punctuation_make_no_difference():
    assert without_repetition(f"{ESSAY} {ESSAY.upper().replace(',', ' ,')}".replace(" ,", ",")) == ESSAY


def test_a_sentence_said_again_is_left_out_wherever_it_stands():
    sentence = "I do not agree with her about that."
    assert without_repetition(f"{ESSAY} {sentence} At last a new one. {sentence}") == f"{ESSAY} At last a new one."


@pytest.mark.parametrize(
    "text",
    [
        ESSAY,
        "",
        "   \n ",
        # Too short to be a repetition.
        "I think so. It is late. I think so.",
        # Eleven words in a row, in sentences that differ.
        "We saw one two three four five six seven eight nine there. They saw one two three four five six seven eight nine.",
    ],
)
def test_other_texts_come_back_as_they_are(text):
    assert without_repetition(text) == text


def test_one_word_over_and_over_is_one_run():
    assert without_repetition("good " * 500) == "good"


def test_the_time_grows_with_the_length_alone():
    texts = ["".join(f"word{number} " for number in range(length)) * 2 for length in (20_000, 200_000)]
    seconds = []
    for text in texts:
        start = time.perf_counter()
        assert len(without_repetition(text).split()) == len(text.split()) // 2
        seconds.append(time.perf_counter() - start)
    # The square would be a hundred times.
    assert seconds[1] < 40 * seconds[0]


def test_tokens_and_features_are_those_of_the_text_without_repetition(tokenizer):
    names = ["log_words", "log_sentences"]
    once, doubled = (
        encode_essays(tokenizer, ["Write."], [text], feature_names=names, skip_repetition=True)[0]
        for text in (ESSAY, f"{ESSAY} {ESSAY}")
    )
    assert once == doubled
    [twice] = encode_essays(tokenizer, ["Write."], [f"{ESSAY} {ESSAY}"], feature_names=names)
    assert len(twice.input_ids) > 1.8 * len(once.input_ids)
