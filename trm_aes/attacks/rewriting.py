"""Ways to change an essay's text. Each function takes the text and a random generator, and what lies around the essay."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from ..model.text_features_trm import CLASS_OF_WORD
from ..scoring.sentences import sentence_spans
from .texts import own_synonyms, own_texts, own_words

WORD = re.compile(r"[A-Za-z']+")
# A word with a capital inside a sentence, or what a name was replaced by before essays were given away, as in @PERSON1.
NAME = re.compile(r"@[A-Z]+\d*|(?<=[a-z,] )[A-Z][a-z]+")
# Sentences that are kept of a text of which only its beginning or end is.
NUM_KEPT = 3
# Of the essay's words: how many are inserted at most, and which share of its longer words is misspelled.
SHARE_INSERTED, SHARE_MISSPELLED = 0.25, 0.2
# Of a word that can be misspelled, and of one that tells the topic.
MISSPELLED_LETTERS, KEY_TERM_LETTERS = 4, 5
WORDS_BETWEEN_FILLERS = 8
FILLERS = ("um,", "uh,", "like,", "you know,", "I mean,")
UNINFLECTED = {
    **dict.fromkeys(("a", "an", "the"), ""),
    **dict.fromkeys(("is", "are", "am", "was", "were"), "be"),
    **dict.fromkeys(("has", "had"), "have"),
    **dict.fromkeys(("does", "did"), "do"),
}
CONTRACTED = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't",
    "was not": "wasn't", "were not": "weren't", "cannot": "can't", "will not": "won't", "would not": "wouldn't",
    "should not": "shouldn't", "could not": "couldn't", "have not": "haven't", "has not": "hasn't", "it is": "it's",
    "i am": "I'm", "i have": "I've", "i will": "I'll", "you are": "you're", "we are": "we're", "they are": "they're",
    "that is": "that's", "there is": "there's",
}  # fmt: skip
EXPANDED = {contracted.lower(): expanded for expanded, contracted in CONTRACTED.items()}


@dataclass(frozen=True)
class Surroundings:
    """
    What lies around an essay.

    Args:
        prompt: the text of its prompt.
        others: texts of other topics, at least one.
    """

    prompt: str
    others: Sequence[str]


Rewriting = Callable[[str, Generator, Surroundings], str]


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, as explanations and the text features cut them."""
    return [text[start:end] for start, end in sentence_spans(text)]


# ---- The essay's own words, in another order or number


def shuffle_words(text: str, rng: Generator, _: Surroundings) -> str:
    """All words in random order."""
    return " ".join(rng.permutation(text.split()))


def shuffle_sentences(text: str, rng: Generator, _: Surroundings) -> str:
    """All sentences in random order."""
    return " ".join(rng.permutation(sentences_of(text)))


def duplicate(text: str, _: Generator, __: Surroundings) -> str:
    """The text twice."""
    return f"{text}\n\n{text}"


def repeat_sentences(text: str, rng: Generator, _: Surroundings) -> str:
    """One to three of the sentences once more, at the end."""
    sentences = sentences_of(text)
    number = min(int(rng.integers(1, 4)), len(sentences))
    return " ".join([text, *rng.choice(sentences, size=number, replace=False)])


def remove_half(text: str, rng: Generator, _: Surroundings) -> str:
    """Half of the sentences, drawn at random, in their order."""
    sentences = sentences_of(text)
    kept = sorted(rng.permutation(len(sentences))[: -(-len(sentences) // 2)])
    return " ".join(sentences[place] for place in kept)


def first_sentences(text: str, _: Generator, __: Surroundings) -> str:
    """The first three sentences alone."""
    return " ".join(sentences_of(text)[:NUM_KEPT])


def last_sentences(text: str, _: Generator, __: Surroundings) -> str:
    """The last three sentences alone."""
    return " ".join(sentences_of(text)[-NUM_KEPT:])


def key_terms(text: str, _: Generator, __: Surroundings) -> str:
    """The distinct words that tell the topic, in their order."""
    words = (word.lower() for word in WORD.findall(text))
    return " ".join(dict.fromkeys(w for w in words if len(w) >= KEY_TERM_LETTERS and w not in CLASS_OF_WORD))


# ---- Other text, added or in its place


def insert_lines(kind: str, place: str) -> Rewriting:
    """
    Lines of one kind of our own texts, about a quarter of the essay's words.

    Args:
        kind: of [`own_texts`].
        place: `start`, `middle` or `end` of the essay.
    """

    def insert(text: str, rng: Generator, _: Surroundings) -> str:
        sentences, lines = sentences_of(text), []
        room = SHARE_INSERTED * len(text.split())
        for line in rng.permutation(own_texts()[kind]):
            if room <= 0:
                break
            lines.append(str(line))
            room -= len(line.split())
        start = {"start": 0, "middle": len(sentences) // 2, "end": len(sentences)}[place]
        return " ".join([*sentences[:start], *lines, *sentences[start:]])

    return insert


def append_other(text: str, rng: Generator, around: Surroundings) -> str:
    """As many words of another topic behind the essay as it has itself."""
    number = len(text.split())
    words: list[str] = []
    while len(words) < number:
        words += other_text(text, rng, around).split()
    return " ".join([text, *words[:number]])


def other_text(_: str, rng: Generator, around: Surroundings) -> str:
    """A text of another topic."""
    return around.others[int(rng.integers(len(around.others)))]


def copy_prompt(_: str, __: Generator, around: Surroundings) -> str:
    """The prompt's text."""
    return around.prompt


def random_words(text: str, rng: Generator, _: Surroundings) -> str:
    """As many English words as the essay has, drawn at random."""
    return " ".join(rng.choice(own_words(), size=len(text.split())))


def in_language(language: str) -> Rewriting:
    """A text in another language, its paragraphs in random order."""

    def replace(_: str, rng: Generator, __: Surroundings) -> str:
        return "\n\n".join(rng.permutation(own_texts()[language]))

    return replace


# ---- The same text, otherwise written


def upper_case(text: str, _: Generator, __: Surroundings) -> str:
    """All letters as capitals."""
    return text.upper()


def lower_case(text: str, _: Generator, __: Surroundings) -> str:
    """All letters small."""
    return text.lower()


def misspell(text: str, rng: Generator, _: Surroundings) -> str:
    """Two neighboring letters inside a word swapped, in a fifth of the words of four letters or more."""

    def swap(match: re.Match) -> str:
        word = match[0]
        if len(word) < MISSPELLED_LETTERS or rng.random() > SHARE_MISSPELLED:
            return word
        place = int(rng.integers(1, len(word) - 2))
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return WORD.sub(swap, text)


def damage_grammar(text: str, _: Generator, __: Surroundings) -> str:
    """Articles dropped, and forms of be, have and do not inflected."""
    return re.sub(" {2,}", " ", replace_all(text, UNINFLECTED)).strip()


def contract(text: str, _: Generator, __: Surroundings) -> str:
    """Contractions wherever one can be made."""
    return replace_all(text, CONTRACTED)


def expand(text: str, _: Generator, __: Surroundings) -> str:
    """Contractions written out."""
    return replace_all(text.replace("’", "'"), EXPANDED)


def use_synonyms(text: str, _: Generator, __: Surroundings) -> str:
    """A synonym in place of each word that has one among ours."""
    return replace_all(text, own_synonyms())


def swap_names(text: str, rng: Generator, _: Surroundings) -> str:
    """Another of the essay's names in place of each; a text with fewer than two names stays as it is."""
    names = list(dict.fromkeys(NAME.findall(text)))
    if len(names) < 2:
        return text
    shift = int(rng.integers(1, len(names)))
    others = dict(zip(names, names[shift:] + names[:shift], strict=True))
    return NAME.sub(lambda match: others[match[0]], text)


def add_fillers(text: str, rng: Generator, _: Surroundings) -> str:
    """Words of hesitation, one for every eight words."""

    def with_fillers(words: Iterable[str]) -> Iterable[str]:
        for number, word in enumerate(words, start=1):
            yield word
            if number % WORDS_BETWEEN_FILLERS == 0:
                yield str(rng.choice(FILLERS))

    return " ".join(with_fillers(text.split()))


def replace_all(text: str, replacements: Mapping[str, str]) -> str:
    """Whole words replaced, given in lower case; the first letter of a replacement is a capital where it was one."""
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)

    def replace(match: re.Match) -> str:
        # Letters of other alphabets count as the same where case is ignored (the Turkish dotless i), and are none of these.
        new = replacements.get(match[0].lower(), match[0])
        return new[:1].upper() + new[1:] if match[0][0].isupper() else new

    return pattern.sub(replace, text)
