"""What is countable in an essay's text: hand-made texts with known counts, and texts that are hardly texts."""

import math

import pytest

from trm_aes.model.text_features_trm import FEATURE_NAMES, text_features

# Word -> rank. Rare words rank from 5,000 on.
VOCABULARY = {"the": 10, "cat": 100, "sat": 200, "i": 5, "saw": 300, "a": 7, "can": 50, "erudite": 20000}


def features(essay: str, prompt: str = "", vocabulary=VOCABULARY) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, text_features(essay, prompt, vocabulary), strict=True))


def check(found: dict[str, float], **expected: float):
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_names_are_distinct_and_lengths_agree():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert len(text_features("Some text. And more.", "A prompt.", VOCABULARY)) == len(FEATURE_NAMES)


AWKWARD = {
    "empty": "",
    "only newlines": "\n" * 100_000,
    "only spaces": " " * 100_000,
    "one word": "word",
    "one letter": "I",
    "no sentence end": "and then we went on and on",
    "digits": "1 2 3 4.5 " * 1000,
    "emoji": "😀🎉" * 1000,
    "Chinese": "我们今天去学校。" * 1000,
    "100,000 words": "word " * 100_000,
    "100,000 distinct words": " ".join(f"w{i}" for i in range(100_000)),
    "one word of 200,000 letters": "a" * 200_000,
    # With a pattern that takes quadratic time these last for hours.
    "only marks": ".!?" * 100_000,
    "marks and quotes": "." + "\"')" * 100_000,
    "apostrophes": "'" * 200_000,
    "letters and apostrophes": "a'" * 100_000,
    "only names": "@PERSON1 @CAPS2",
    "at signs": "@" * 200_000,
    "half a surrogate pair": "a \ud800 b",
    "letters that get longer in lower case": "İstanbul İ ŉ ß",
    "null characters": "\0" * 1000,
}


@pytest.mark.parametrize("essay", AWKWARD.values(), ids=AWKWARD)
def test_awkward_texts_give_finite_floats(essay):
    values = text_features(essay, "Write about words.", VOCABULARY)
    assert len(values) == len(FEATURE_NAMES)
    assert all(type(value) is float and math.isfinite(value) for value in values)
    named = dict(zip(FEATURE_NAMES, values, strict=True))
    assert all(0 <= value <= 1 for name, value in named.items() if name.endswith("_share"))


@pytest.mark.parametrize("essay", ["", "\n\n", "   ", "...", "😀"])
def test_without_words_all_that_is_about_words_is_0(essay):
    found = features(essay, "Write about words.")
    assert not any(
        value
        for name, value in found.items()
        if name not in ("log_characters", "paragraphs", "longest_paragraph_share", "ellipsis_rate")
    )
    assert found["log_characters"] == pytest.approx(math.log1p(len(essay.replace("   ", "\n"))))


def test_lengths():
    found = features("The cat sat. The cat saw a cat!\n\nIt sat.")
    check(
        found,
        log_characters=math.log1p(40),
        log_words=math.log1p(10),
        log_distinct_words=math.log1p(6),
        log_sentences=math.log1p(3),
        paragraphs=2,
        longest_paragraph_share=31 / 40,
        mean_log_sentence_words=(math.log(4) + math.log(6) + math.log(3)) / 3,
        log_longest_sentence_words=math.log(6),
        short_sentence_share=1,
        long_sentence_share=0,
        guiraud_index=6 / math.sqrt(10),
        words_used_once_share=3 / 6,
    )


def test_short_and_long_sentences():
    of_length = {length: " ".join(["word"] * length) + ". " for length in (6, 7, 30, 31)}
    check(features("".join(of_length.values())), short_sentence_share=1 / 4, long_sentence_share=1 / 4)


def test_where_sentences_end():
    count = math.log1p
    assert features('He said "Go." Then he left (at last!) and slept')["log_sentences"] == count(3)
    assert features("Wait... what?! Yes")["log_sentences"] == count(3)
    assert features("It costs 3.50 at shop.com today")["log_sentences"] == count(1)
    assert features("A title\nA line\r\nanother")["log_sentences"] == count(3)


def test_paragraphs():
    """A line is a paragraph; so is what ASAP's three spaces set apart. Lines broken by hand are not counted on and on."""
    assert features("One.\n\n  \nTwo.\r\nThree.")["paragraphs"] == 3
    assert features("One.     Two.   Three.  Still three.")["paragraphs"] == 3
    assert features("line\n" * 50)["paragraphs"] == 12


def test_word_lengths():
    check(
        features("a house beautiful letters a"),
        mean_word_letters=(1 + 5 + 9 + 7 + 1) / 5,
        words_from_5_letters_share=3 / 5,
        log_distinct_words_from_7_letters=math.log1p(2),
        log_distinct_words_from_9_letters=math.log1p(1),
    )


def test_case():
    found = features("the dog and i ran. We saw NASA and an iPod. You and I")
    check(
        found,
        small_sentence_start_share=1 / 3,
        small_i_rate=100 / 14,
        capitalized_rate=100 * 4 / 14,
        all_capitals_rate=100 / 14,
        capital_inside_rate=100 / 14,
    )


def test_anonymized_names_are_words_and_not_capitals():
    found = features("@PERSON1 saw @CAPS2's cat.")
    assert found["log_words"] == pytest.approx(math.log1p(4))
    check(found, capitalized_rate=0, all_capitals_rate=0, capital_inside_rate=0, small_sentence_start_share=0)
    # Neither their letters nor their spelling are the writer's.
    check(found, unknown_word_rate=0, mean_word_letters=3)


def test_punctuation():
    found = features('Well, yes, no; so: what? Go! "Don\'t" - (he) said... 12 times and 3')
    rate = 100 / 13
    check(
        found,
        comma_rate=2 * rate,
        log_commas=math.log1p(2),
        semicolon_and_colon_rate=2 * rate,
        question_mark_rate=rate,
        exclamation_mark_rate=rate,
        log_quotation_marks=math.log1p(2),
        apostrophe_rate=rate,
        dash_rate=rate,
        parenthesis_rate=rate,
        ellipsis_rate=rate,
        digit_rate=3 * rate,
    )


def test_a_word_processors_characters_count_as_a_typewriters():
    essay, typed = "“Don’t” – he said… ‘so’", "\"Don't\" - he said... 'so'"
    assert features(essay) == features(typed)


def test_spacing():
    found = features("One , two .  Three  four!  Five")
    check(
        found,
        space_before_mark_rate=100 * 2 / 5,
        wide_space_rate=100 * 3 / 5,
        wide_space_after_sentence_rate=100 * 2 / 5,
    )


def test_unknown_and_rare_words():
    found = features("The erudite cat can't zzyzx zzyzx Qwx")
    check(
        found,
        unknown_word_rate=100 * 3 / 7,
        unknown_distinct_word_rate=100 * 2 / 6,
        mean_log_rank=sum(map(math.log1p, (10, 20000, 100, 50))) / 4,
        high_rank=100,
        log_distinct_rare_words=math.log1p(1),
    )
    assert features("The cat " * 4 + "can't be erudite erudite")["high_rank"] == 20000
    assert features("the cat", vocabulary={})["unknown_word_rate"] == 100
    assert features("the cat", vocabulary={"cat": 5000})["log_distinct_rare_words"] == math.log1p(1)
    assert features("the cat", vocabulary={"cat": 4999})["log_distinct_rare_words"] == 0


def test_repetition():
    check(features("a b c a b c"), repeated_triple_share=1 / 4, repeated_sentence_share=0)
    check(features("One two. THREE four. Three four!"), repeated_sentence_share=1 / 3)


# Without space between, what ends the first copy and what starts the second are one new sentence.
@pytest.mark.parametrize(("join", "repeated"), [(" ", 3 / 6), ("\n", 3 / 6), ("", 1 / 5)])
def test_a_doubled_essay_is_visible(join, repeated):
    essay = "Dogs are good company. They wait at the door for hours, and no one else does that. I would not miss mine."
    once, twice = features(essay), features(essay + join + essay)
    check(once, repeated_triple_share=0, repeated_sentence_share=0)
    # The 20 triples of 22 words, of 42 in all: two more join the copies.
    check(twice, repeated_triple_share=20 / 42, repeated_sentence_share=repeated)
    assert twice["words_used_once_share"] < 0.1 < once["words_used_once_share"]


def test_overlap_with_the_prompt():
    prompt = "Write about computers and their effects on people."
    found = features("Computers help. People like computers and their effects a lot", prompt)
    # Content words: computers, help, people, effects. The prompt has three of them, which stand four times.
    check(
        found,
        prompt_word_share=4 / 10,
        distinct_prompt_word_share=3 / 4,
        # "computers and their", "and their effects", of eight.
        prompt_triple_share=2 / 8,
    )
    check(features(prompt, prompt), distinct_prompt_word_share=1, prompt_triple_share=1)
    check(features(prompt, "Cats?"), prompt_word_share=0, distinct_prompt_word_share=0, prompt_triple_share=0)


def test_endings_and_function_words():
    found = features("However, I really walked slowly into the house and it wasn't an end for us")
    rate = 100 / 15
    check(
        found,
        ly_ending_rate=2 * rate,
        ed_ending_rate=rate,
        the_word_rate=rate,
        a_word_rate=rate,
        and_word_rate=rate,
        in_word_rate=2 * rate,
        it_word_rate=rate,
        first_person_word_rate=2 * rate,
        not_word_rate=0,
        connective_word_rate=rate,
        vague_word_rate=rate,
        function_word_share=10 / 15,
    )
    # Of what belongs to no class with a feature of its own, only the sum is known.
    check(features("They were there"), function_word_share=2 / 3, the_word_rate=0)
