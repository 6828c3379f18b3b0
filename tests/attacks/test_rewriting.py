"""Attacks on one essay: each does what its sentence says, and the same whenever the seed is the same."""

from collections import Counter

import numpy as np
import pytest

from trm_aes.attacks.registry import ATTACK_NAMES, ATTACKS, find_attacks
from trm_aes.attacks.rewriting import NAME, Surroundings, replace_all, sentences_of
from trm_aes.attacks.texts import own_synonyms, own_texts, own_words
from trm_aes.errors import InputError

ESSAY = (
    "I do not think that phones belong in class. It is hard to listen when a screen lights up! My friends Anna and Omar have "
    "lost whole lessons to a game.\n\nIf the school kept our phones in a box, we'd talk more at lunch. Teachers would not have to "
    "repeat themselves. That's why I ask for a new rule. The rule will not please everyone."
)
AROUND = Surroundings(
    "Should phones be allowed in class? Write a letter.", ["Another essay, on gardens.", "A third one, on rivers."]
)
NUM_WORDS = len(ESSAY.split())


def attacked(name, seed=0, essay=ESSAY):
    [attack] = find_attacks([name])
    return attack.rewrite(essay, np.random.default_rng(seed), AROUND)


@pytest.mark.parametrize("name", ATTACK_NAMES)
def test_attacks_are_the_same_by_seed_and_change_the_text(name):
    assert attacked(name, 3) == attacked(name, 3) != ESSAY
    assert attacked(name, 3).strip()


def test_attacks_that_draw_draw_otherwise_by_another_seed():
    for name in ("words shuffled", "song at the end", "random words", "typos", "half removed"):
        assert attacked(name, 1) != attacked(name, 2), name


def test_words_and_sentences_are_the_same_in_another_order():
    assert Counter(attacked("words shuffled").split()) == Counter(ESSAY.split())
    assert sorted(sentences_of(attacked("sentences shuffled"))) == sorted(sentences_of(ESSAY))


def test_what_is_repeated_stands_twice():
    assert attacked("text duplicated").split() == ESSAY.split() * 2
    for seed in range(5):
        repeated = attacked("sentences repeated", seed)
        assert repeated.startswith(ESSAY)
        added = sentences_of(repeated[len(ESSAY) :].strip())
        assert 1 <= len(added) <= 3 and set(added) <= set(sentences_of(ESSAY))


def test_what_is_appended_is_as_long_as_the_essay():
    longer = attacked("off-topic text appended")
    assert longer.startswith(ESSAY) and len(longer.split()) == 2 * NUM_WORDS
    assert set(longer.split()[NUM_WORDS:]) <= set(" ".join(AROUND.others).split())


@pytest.mark.parametrize("kind", ["song", "speech", "encyclopedia", "truths", "falsehoods"])
def test_lines_stand_where_they_are_said_to(kind):
    start, middle, end = (attacked(f"{kind} {place}") for place in ("at the start", "in the middle", "at the end"))
    own = " ".join(sentences_of(ESSAY))
    assert start.endswith(own) and end.startswith(own)
    assert middle.startswith(sentences_of(ESSAY)[0]) and middle.endswith(sentences_of(ESSAY)[-1])
    for text in (start, middle, end):
        lines = [line for line in own_texts()[kind] if line in text]
        added = sum(len(line.split()) for line in lines)
        assert lines and len(text.split()) == NUM_WORDS + added
        # No line more than it takes to reach a quarter.
        assert added - max(len(line.split()) for line in lines) < NUM_WORDS / 4


def test_what_is_left_of_an_essay():
    sentences = sentences_of(ESSAY)
    assert attacked("first sentences only") == " ".join(sentences[:3])
    assert attacked("last sentences only") == " ".join(sentences[-3:])
    kept = sentences_of(attacked("half removed"))
    assert len(kept) == 4 and kept == [sentence for sentence in sentences if sentence in kept]
    terms = attacked("key terms only").split()
    assert {"phones", "lessons", "teachers"} <= set(terms) and not {"would", "the", "have"} & set(terms)
    assert len(terms) == len(set(terms))


def test_what_stands_in_an_essays_place():
    assert attacked("prompt copied") == AROUND.prompt
    assert attacked("essay of another prompt") in AROUND.others
    words = attacked("random words").split()
    assert len(words) == NUM_WORDS and set(words) <= set(own_words())
    for language in ("Spanish", "German", "French"):
        assert sorted(attacked(f"in {language}").split("\n\n")) == sorted(own_texts()[language])


def test_the_same_text_otherwise_written():
    assert attacked("all capitals") == ESSAY.upper() and attacked("lower case") == ESSAY.lower()
    misspelled = attacked("typos").split()
    pairs = list(zip(ESSAY.split(), misspelled, strict=True))
    assert all(sorted(a) == sorted(b) and a[0] == b[0] for a, b in pairs)
    assert 3 <= sum(a != b for a, b in pairs) <= 15
    assert "whole lessons to game." in attacked("grammar damaged") and "It be hard" in attacked("grammar damaged")
    assert attacked("contractions made").startswith("I don't think") and "It's hard" in attacked("contractions made")
    assert "That is why" in attacked("contractions expanded")
    fillers = len(attacked("disfluencies").replace("you know", "um").replace("I mean", "um").split()) - NUM_WORDS
    assert fillers == NUM_WORDS // 8


def test_synonyms_keep_sentence_and_capitals():
    assert "It is difficult to listen when a display lights up!" in attacked("synonyms")
    assert "companions Anna and Omar have lost complete classes" in attacked("synonyms")
    assert attacked("synonyms", essay="Because of ALL rules.") == "Since of ALL regulations."
    # A second look would change words back: "big" and "large" stand for one another.
    assert all(word.islower() and synonym.islower() and word != synonym for word, synonym in own_synonyms().items())


def test_names_stand_where_others_stood():
    swapped = attacked("names swapped")
    assert "My friends Omar and Anna have lost" in swapped
    # The first word of a sentence has its capital by its place.
    assert swapped.startswith("I do not think") and "Teachers would not" in swapped
    three = "We met @PERSON1 and @PERSON2 in @LOCATION1, and @PERSON1 waved."
    for seed in range(4):
        before, after = NAME.findall(three), NAME.findall(attacked("names swapped", seed, three))
        assert sorted(set(after)) == sorted(set(before)) and all(a != b for a, b in zip(before, after, strict=True))
        assert after[0] == after[3]
    alone = "She knows that Anna came, and Anna left."
    assert attacked("names swapped", essay=alone) == alone


def test_a_text_without_contractions_stays_as_it_is():
    assert attacked("contractions expanded", essay="No such word.") == "No such word."


def test_texts_are_a_few_hundred_words_each():
    for kind, lines in own_texts().items():
        assert 50 <= sum(len(line.split()) for line in lines) <= 400, kind


def test_a_name_that_is_none_is_refused():
    assert len(set(ATTACK_NAMES)) == len(ATTACKS)
    with pytest.raises(InputError, match="`attacks` word shuffled: no such attack.*Did you mean 'words shuffled'"):
        find_attacks(["word shuffled"])


def test_letters_that_only_look_like_others_are_left_alone():
    """The Turkish dotless i, the long s: alike where case is ignored, and no key of the replacements."""
    for text in ("ı am here, and ſhe is not", "İ am", "I am"):
        assert replace_all(text, {"i am": "I'm", "she is": "she's"}) == text.replace("I am", "I'm")
