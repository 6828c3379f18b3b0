"""All attacks: what they do, in a sentence, and what an honest score does then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError
from ..naming import listing
from . import rewriting
from .rewriting import Rewriting, insert_lines
from .texts import LANGUAGES

Should = Literal["fall", "not rise", "stay"]


@dataclass(frozen=True)
class Attack:
    """
    A change of an essay's text.

    Args:
        name: in words.
        should: what an honest score does.
        what: what is done to the text, in a sentence.
        rewrite: does it.
    """

    name: str
    should: Should
    what: str
    rewrite: Rewriting


_LINES = {
    "song": "lines of a song",
    "speech": "lines of a speech",
    "encyclopedia": "lines of an encyclopedia",
    "truths": "statements that everybody knows to be true",
    "falsehoods": "statements that are plainly false",
}
_PLACES = {
    "start": ("at the start", "before the essay"),
    "middle": ("in the middle", "in the middle of the essay"),
    "end": ("at the end", "behind the essay"),
}

ATTACKS: tuple[Attack, ...] = (
    Attack("words shuffled", "fall", "All words stand in random order.", rewriting.shuffle_words),
    Attack("sentences shuffled", "fall", "All sentences stand in random order.", rewriting.shuffle_sentences),
    Attack("text duplicated", "not rise", "The whole text stands twice.", rewriting.duplicate),
    Attack(
        "sentences repeated", "not rise", "One to three sentences are repeated at the end.", rewriting.repeat_sentences
    ),
    Attack(
        "off-topic text appended", "fall", "As many words of another topic follow the essay.", rewriting.append_other
    ),
    *(
        Attack(f"{kind} {at}", "not rise", f"A quarter as many words, in whole lines, {lines}, stand {where}.",
               insert_lines(kind, place))
        for kind, lines in _LINES.items()
        for place, (at, where) in _PLACES.items()
    ),
    Attack("half removed", "fall", "Half of the sentences, drawn at random, are removed.", rewriting.remove_half),
    Attack("first sentences only", "fall", "The first three sentences stand alone.", rewriting.first_sentences),
    Attack("last sentences only", "fall", "The last three sentences stand alone.", rewriting.last_sentences),
    Attack("prompt copied", "fall", "The prompt's text stands in the essay's place.", rewriting.copy_prompt),
    Attack("essay of another prompt", "fall", "A text of another topic stands in the essay's place.", rewriting.other_text),
    Attack("random words", "fall", "As many random words stand in the essay's place.", rewriting.random_words),
    Attack("key terms only", "fall", "Only the words that tell the topic stand, each once.", rewriting.key_terms),
    Attack("all capitals", "not rise", "All letters are capitals.", rewriting.upper_case),
    Attack("lower case", "not rise", "All letters are small.", rewriting.lower_case),
    Attack("typos", "fall", "Two letters are swapped in a fifth of the longer words.", rewriting.misspell),
    Attack(
        "grammar damaged", "fall", "Articles are dropped, and be, have and do not inflected.", rewriting.damage_grammar
    ),
    Attack("contractions expanded", "stay", "Contractions are written out.", rewriting.expand),
    Attack("contractions made", "stay", "Contractions stand wherever one can be made.", rewriting.contract),
    Attack("synonyms", "stay", "A synonym stands in place of every word that has one on our list.", rewriting.use_synonyms),
    Attack("names swapped", "not rise", "Each name stands where another one stood.", rewriting.swap_names),
    Attack("disfluencies", "not rise", "A word of hesitation follows every eighth word.", rewriting.add_fillers),
    *(
        Attack(f"in {language}", "fall", f"A text in {language} stands in the essay's place.",
               rewriting.in_language(language))
        for language in LANGUAGES
    ),
)  # fmt: skip
ATTACK_NAMES = tuple(attack.name for attack in ATTACKS)


def find_attacks(names: Sequence[str]) -> list[Attack]:
    """
    The attacks of these names, in the order of [`ATTACKS`].

    Raises:
        InputError: if there is no attack of a name.
    """
    for name in names:
        if name not in ATTACK_NAMES:
            raise InputError(f"`attacks` {name}: no such attack. There are {listing(ATTACK_NAMES, name)}")
    return [attack for attack in ATTACKS if attack.name in names]
