"""Generates the synthetic essays: four qualities are drawn for each, and show in its text.

- development: claims are backed by particulars, or padded with empty sentences;
- organization: a thesis, grouped points, signposts and a conclusion, or sentences in disorder;
- vocabulary: each marked word is chosen plainly or well;
- conventions: words are misspelled, capitals and full stops lost.

How long an essay is hardly depends on its quality, so counting words does not score it.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd

from ....model.score_scale import ScoreRange
from ...columns import USUAL_RATERS
from ...provenance import ValueColumns
from ...schema import EssayTable, check_table

DEMO_CORPUS = "synthetic demo corpus"
ESSAYS_PER_PROMPT = 200
WORD_RANGE = (80, 390)
TRAITS = ("development", "organization", "vocabulary", "conventions")
TRAIT_WEIGHTS = np.array([0.35, 0.25, 0.2, 0.2])
RATER_NOISE = 0.07
# Where a writer is said to live: drawn apart from the essays, so that a scorer cannot treat one of them otherwise.
REGIONS = ("north", "south")


@dataclass(frozen=True)
class _Sentence:
    """A sentence and the point it belongs to; thesis, conclusion and empty sentences have none."""

    text: str
    point: int = -1


def load_demo(seed: int = 0, essays_per_prompt: int = ESSAYS_PER_PROMPT) -> EssayTable:
    """
    The synthetic corpus: three prompts with the ranges 1-6, 0-4 and 2-12. Two simulated raters judge an essay's
    qualities with noise of their own; the score is their mean, the higher, or their sum, as with ASAP's prompts.

    Besides the schema's columns it has `rater1`, `rater2`, the four traits on a scale of 0 to 100, and `region`, a group of
    writers that has nothing to do with the essays.

    Args:
        seed: seeds everything that is drawn; the same seed gives the same text.
        essays_per_prompt: how many essays each prompt gets.
    """
    bank = json.loads(resources.files(__package__).joinpath("bank.json").read_text(encoding="utf-8"))
    rows = []
    for number, prompt in enumerate(bank["prompts"]):
        rng = np.random.default_rng([seed, number])
        for index in range(essays_per_prompt):
            rows.append({"essay_id": f"{prompt['prompt_id']}-{index + 1:03d}", **_draw_essay(prompt, bank, rng)})
    frame = pd.DataFrame(rows)
    frame["region"] = np.random.default_rng([seed, len(bank["prompts"])]).choice(REGIONS, len(frame))
    frame.index += 1
    checksum = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    prompt_ids = [prompt["prompt_id"] for prompt in bank["prompts"]]
    traits = {name: dict.fromkeys(prompt_ids, ScoreRange(0, 100)) for name in TRAITS}
    values = ValueColumns(USUAL_RATERS, traits, ("region",))
    table = EssayTable(frame, f"synthetic demo corpus (seed {seed})", checksum, DEMO_CORPUS, values=values)
    check_table(table)
    return table


def _draw_essay(prompt: dict, bank: dict, rng: np.random.Generator) -> dict:
    ability = rng.beta(1.3, 1.3)
    traits = np.clip(ability + rng.normal(0, 0.17, len(TRAITS)), 0, 1)
    # Mostly of its own, and a little of ability: able writers write somewhat more.
    length = rng.integers(*WORD_RANGE) * 0.85 + 0.15 * (WORD_RANGE[0] + ability * (WORD_RANGE[1] - WORD_RANGE[0]))
    paragraphs = _compose(prompt, bank, dict(zip(TRAITS, traits, strict=True)), length, rng)
    essay = "\n\n".join(paragraphs)
    score, raters = _rate(prompt, float(TRAIT_WEIGHTS @ traits), rng)
    return {
        "prompt_id": prompt["prompt_id"],
        "prompt": prompt["text"],
        "essay": essay,
        "score": float(score),
        "min_score": float(prompt["min_score"]),
        "max_score": float(prompt["max_score"]),
        "rater1": raters[0],
        "rater2": raters[1],
        **{name: round(100 * float(value)) for name, value in zip(TRAITS, traits, strict=True)},
    }


def _rate(prompt: dict, quality: float, rng: np.random.Generator) -> tuple[int, list[int]]:
    """Each rater's whole score, and the score that follows from the two as the prompt resolves them."""
    is_sum = prompt["resolution"] == "sum"
    low, high = (
        (prompt["min_score"] // 2, prompt["max_score"] // 2) if is_sum else (prompt["min_score"], prompt["max_score"])
    )
    judged = np.clip(quality + rng.normal(0, RATER_NOISE, 2), 0.08, 0.92)
    stretched = (judged - 0.08) / 0.84
    raters = [int(score) for score in np.floor(low + stretched * (high - low) + 0.5)]
    resolve: dict[str, Callable[[list[int]], int]] = {
        "mean": lambda pair: int(np.floor(sum(pair) / 2 + 0.5)),
        "higher": max,
        "sum": sum,
    }
    return resolve[prompt["resolution"]](raters), raters


def _compose(prompt: dict, bank: dict, traits: dict, length: float, rng: np.random.Generator) -> list[str]:
    ordered = traits["organization"]
    first = prompt["thesis"] if rng.random() < ordered else prompt["weak_thesis"]
    last = prompt["conclusion"] if rng.random() < ordered else prompt["weak_conclusion"]
    opening, closing = _Sentence(_pick(first, rng)), _Sentence(_pick(last, rng))
    # Links and signposts, added later, make up the last tenth.
    room = 0.9 * length - len(opening.text.split()) - len(closing.text.split())
    body = _disorder(_write_body(prompt, bank, traits["development"], room, rng), ordered, rng)
    return [
        " ".join(_finish(sentence, bank, traits, rng) for sentence in paragraph)
        for paragraph in _paragraphs([opening, *body, closing], ordered, bank, rng)
    ]


def _write_body(prompt: dict, bank: dict, development: float, room: float, rng: np.random.Generator) -> list[_Sentence]:
    """Points one after another, each a claim and what follows it, until the essay is as long as it should be."""
    body: list[_Sentence] = []
    points = [int(point) for point in rng.permutation(len(prompt["points"]))]
    unused = {point: list(rng.permutation(prompt["points"][point]["support"])) for point in points}
    words = 0
    turn = 0
    while words < room:
        point = points[turn % len(points)]
        sentences = [_Sentence(_pick(prompt["points"][point]["claim"], rng), point)]
        for _ in range(3):
            if unused[point] and rng.random() < development:
                sentences.append(_Sentence(str(unused[point].pop()), point))
            elif rng.random() < 0.8:
                sentences.append(_Sentence(_pick(bank["fillers"], rng), point))
        for sentence in sentences:
            if words < room:
                body.append(sentence)
                words += len(sentence.text.split())
        turn += 1
    return body


def _disorder(body: list[_Sentence], ordered: float, rng: np.random.Generator) -> list[_Sentence]:
    """Sentences moved from their place, the more the less ordered; a well-ordered narrative keeps its sequence."""
    body = list(body)
    if ordered > 0.5:
        body.sort(key=lambda sentence: sentence.point)
    for _ in range(round((1 - ordered) ** 1.5 * len(body))):
        moved = body.pop(int(rng.integers(len(body))))
        body.insert(int(rng.integers(len(body) + 1)), moved)
    return body


def _paragraphs(
    sentences: list[_Sentence], ordered: float, bank: dict, rng: np.random.Generator
) -> list[list[_Sentence]]:
    """A paragraph for each point where the writer orders; signposts there, bare links elsewhere."""
    paragraphs: list[list[_Sentence]] = [[]]
    for before, sentence in zip([None, *sentences], sentences, strict=False):
        new_point = before is not None and sentence.point != before.point
        text = sentence.text
        if new_point and rng.random() < ordered:
            paragraphs.append([])
            if sentence.point >= 0 and rng.random() < 0.7:
                text = f"{_pick(bank['openers'], rng)} {_lower_first(text)}"
        elif text[0].islower():
            link = bank["links"] if rng.random() < ordered else bank["plain_links"]
            text = f"{_pick(link, rng)} {text}"
        elif sentence.point >= 0 and rng.random() < 0.35 * (1 - ordered):
            text = f"{_pick(bank['plain_links'], rng)} {_lower_first(text)}"
        paragraphs[-1].append(_Sentence(text[0].upper() + text[1:], sentence.point))
    return paragraphs


def _finish(sentence: _Sentence, bank: dict, traits: dict, rng: np.random.Generator) -> str:
    """Chooses the marked words, then makes the errors."""

    def choose(match: re.Match) -> str:
        plain, well = bank["words"][match[1]]
        return _pick(well if rng.random() < traits["vocabulary"] else plain, rng)

    text = re.sub(r"\{(\w+)\}", choose, sentence.text)
    error_rate = (1 - traits["conventions"]) ** 1.5
    words = []
    for word in text.split(" "):
        bare = word.strip(".,:;!?").lower()
        if rng.random() < error_rate * 0.6 and bare in bank["misspellings"]:
            word = word.lower().replace(bare, bank["misspellings"][bare])
        elif len(bare) > 5 and rng.random() < error_rate * 0.07:
            place = int(rng.integers(2, len(bare) - 1))
            word = word[:place] + word[place + 1 :]
        words.append(word)
    text = " ".join(words)
    if rng.random() < error_rate * 0.4:
        text = _lower_first(text)
    if rng.random() < error_rate * 0.4:
        text = text.rstrip(".")
    if rng.random() < error_rate * 0.3:
        text = text.replace(",", "")
    return text


def _lower_first(text: str) -> str:
    return text if text.startswith(("I ", "Ms.", "Mr.")) else text[0].lower() + text[1:]


def _pick(choices: list[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
