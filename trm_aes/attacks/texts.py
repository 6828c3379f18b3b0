"""Texts that the project has written itself, to be put into essays or in their place."""

import json
from functools import lru_cache
from importlib import resources

LANGUAGES = ("Spanish", "German", "French")
OFF_TOPIC = "off topic"


@lru_cache(maxsize=1)
def own_texts() -> dict[str, list[str]]:
    """`kind -> lines or paragraphs`: songs, speeches, encyclopedia lines, truths, falsehoods, other topics, languages."""
    return json.loads(resources.files(__package__).joinpath("texts.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def own_synonyms() -> dict[str, str]:
    """`word -> synonym`, in lower case: pairs that fit most sentences, article and inflection included."""
    return json.loads(resources.files(__package__).joinpath("synonyms.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def own_words() -> tuple[str, ...]:
    """The distinct English words of these texts, in lower case and alphabetic order."""
    english = (line for kind, lines in own_texts().items() if kind not in LANGUAGES for line in lines)
    words = {word.strip(".,").lower() for line in english for word in line.split()}
    return tuple(sorted(words))
