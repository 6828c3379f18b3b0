"""Builds the tokenized data set that training and evaluation read, and loads it again."""

import datetime
import hashlib
import json
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from datasets import Dataset, DatasetDict, load_from_disk
from transformers import PreTrainedTokenizerBase

from ..checkpoints import load_tokenizer, vocabulary_checksum
from ..errors import InputError, explained
from ..files import new_folder, write_json
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..model.text_features_trm import FEATURE_NAMES
from ..naming import MAX_LISTED, listing
from ..records import package_versions
from .columns import USUAL_RATERS
from .folder import CARD_NAME, DATASET, TOKENIZER_FOLDER, check_is_dataset, essays_checksum, file_checksums, read_card
from .scales import scale_columns, scale_of_row
from .schema import EssayTable, prompt_rows
from .splits import SPLITS, Splits
from .tokenizing import TokenLimits, tokenize_split

# Which of the splits every data set has: essays may be built without a test split.
NEEDED_SPLITS = ("train", "validation")
# As data sets call the types of columns of numbers.
NUMBERS = ("float64", "float32", "int64", "int32")


@dataclass(frozen=True)
class EssayDataset:
    """
    A data set on disk: its splits, its card, and the tokenizer it was made with.

    Args:
        splits: `train`, `validation` and, where there is one, `test`, with the columns of the schema, `input_ids`,
            `token_type_ids` and `text_features`.
        card: the content of `dataset_card.json`.
        folder: where it lies.
    """

    splits: DatasetDict
    card: dict
    folder: Path

    @property
    def score_ranges(self) -> dict[str, ScoreRange]:
        """`prompt_id -> ScoreRange` of every prompt of the data set."""
        return {prompt_id: scale_of_row(prompt) for prompt_id, prompt in self.card["prompts"].items()}

    @property
    def prompt_texts(self) -> dict[str, str]:
        """`prompt_id -> text` of every prompt of the data set."""
        return {prompt_id: prompt["text"] for prompt_id, prompt in self.card["prompts"].items()}

    @property
    def rater_columns(self) -> tuple[str, ...]:
        """Columns with raters' own scores, as numbers; empty where the data set has none."""
        if "values" in self.card:
            return tuple(self.card["values"]["raters"])
        # Built before cards said so.
        train = self.splits["train"]
        numbers = [
            name for name in USUAL_RATERS if name in train.column_names and train.features[name].dtype in NUMBERS
        ]
        return tuple(numbers) if len(numbers) == len(USUAL_RATERS) else ()

    @property
    def trait_ranges(self) -> dict[str, dict[str, ScoreRange]]:
        """`trait -> prompt_id -> ScoreRange` of the traits whose scores the essays have, in prompts that have them."""
        traits = self.card.get("values", {}).get("traits", {})
        # Cards of earlier versions have one scale of a trait, for all prompts.
        by_prompt = {
            trait: dict.fromkeys(self.card["prompts"], scale) if "min_score" in scale and "step" in scale else scale
            for trait, scale in traits.items()
        }
        return {
            trait: {
                prompt_id: _scale_in_card(scales[prompt_id])
                for prompt_id in self.card["prompts"]
                if prompt_id in scales
            }
            for trait, scales in by_prompt.items()
        }

    @property
    def checksum(self) -> str:
        """SHA-256 of the card, which holds those of the files."""
        return hashlib.sha256(json.dumps(self.card, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def essays_checksum(self) -> str | None:
        """See [`essays_checksum`]."""
        return essays_checksum(self.card)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Columns that say which group an essay's writer belongs to, those that were named when the data set was built."""
        return tuple(self.card.get("values", {}).get("groups", ()))

    def split(self, name: str) -> Dataset:
        """
        The essays of one split.

        Raises:
            InputError: if there is no such split.
        """
        if name not in self.splits:
            raise InputError(f"`split` {name}: {self.folder} has {listing(self.splits, name)}")
        return self.splits[name]

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """
        The tokenizer that the data set was made with, from its own folder.

        Raises:
            InputError: if the folder holds no tokenizer that can be read.
        """
        return load_tokenizer(self.folder / TOKENIZER_FOLDER)

    def check_features(self, names: Sequence[str] | None):
        """
        Checks that the data set holds the text features that a model takes, in the model's order; None if it takes none.

        Raises:
            InputError: if it holds others, or none.
        """
        if names and list(names) != self.card.get("text_features", []):
            raise InputError(
                f"{self.folder} does not hold the text features that the model takes: another version built it. Build it "
                "again."
            )

    def check_repetition(self, skips: bool, owner: str):
        """
        Checks that what an essay says a second time is left out of the data set's tokens if a scorer leaves it out, and kept
        if it reads it; `owner` is whose scorer it is.

        Raises:
            InputError: if the data set has other tokens of the same essays.
        """
        if bool(self.card.get("skip_repetition", False)) != bool(skips):
            raise InputError(
                f"{owner} {'leaves out' if skips else 'reads'} what an essay says a second time, and {self.folder} "
                f"{'has it' if skips else 'was built without it'}: they are of different versions of trm-aes. "
                + ("Build the data set again." if skips else "Train the scorer again on this data set.")
            )

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerBase, owner: str):
        """
        Checks that a tokenizer reads this data set as the data set's own does; `owner` is whose it is.

        Raises:
            InputError: if the tokenizer's ids do not mean the same words as this data set's.
        """
        if vocabulary_checksum(tokenizer) != self.card["tokenizer"]["vocabulary_sha256"]:
            raise InputError(
                f"{self.folder} was tokenized with {self.card['tokenizer']['name']}, whose vocabulary is not that of "
                f"{owner}. Build the data set again with {owner} as its `tokenizer`."
            )


def _scale_in_card(scale: dict) -> ScoreRange:
    return ScoreRange(scale["min_score"], scale["max_score"], scale["step"])


def build_dataset(
    table: EssayTable,
    splits: Splits,
    tokenizer: PreTrainedTokenizerBase,
    tokenizer_name: str,
    limits: TokenLimits,
    output_dir: str | Path,
    options: dict,
    overwrite: bool = False,
) -> dict:
    """
    Tokenizes the splits and writes them as a `datasets.DatasetDict`, with the tokenizer and a JSON card.

    Args:
        table: the source, for the card.
        splits: its essays by split.
        tokenizer, tokenizer_name: what to tokenize with, and what to call it.
        limits: how long sequences may be.
        output_dir: where to write; it appears whole or not at all.
        options: recorded in the card.
        overwrite: whether an existing `output_dir` may be replaced.

    Returns:
        The card.

    Raises:
        InputError: if `output_dir` may not be replaced, another run is writing it, or dropping long essays leaves a split, or a
            prompt's training essays, empty.
    """
    with new_folder(output_dir, overwrite, DATASET) as folder:
        with tempfile.TemporaryDirectory(dir=folder) as tokens:
            tokenized = {
                name: tokenize_split(frame, tokenizer, limits, name, Path(tokens))
                for name, frame in splits.frames.items()
            }
            DatasetDict({name: split.dataset for name, split in tokenized.items()}).save_to_disk(folder)
        frames = {name: split.frame for name, split in tokenized.items()}
        _check_prompts_left(splits.frames["train"], frames["train"], limits)
        card = {
            "source": table.source,
            "source_sha256": table.checksum,
            "corpus": table.corpus,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "options": options,
            "num_essays": {name: len(frames.get(name, ())) for name in SPLITS},
            "num_in_no_split": splits.num_left_out,
            "num_texts_in_several_splits": splits.num_texts_across,
            "num_copies_dropped": splits.num_copies_dropped,
            "num_dropped_as_too_long": {name: split.num_dropped for name, split in tokenized.items()},
            "values": _values_of(table, set().union(*(frame["prompt_id"] for frame in frames.values()))),
            "prompts": _prompt_cards(frames),
            "tokenizer": {"name": tokenizer_name, "vocabulary_sha256": vocabulary_checksum(tokenizer)},
            "token_limits": asdict(limits),
            "text_features": list(FEATURE_NAMES),
            "skip_repetition": True,
            "packages": package_versions(),
        }
        tokenizer.model_max_length = limits.max_tokens
        tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)
        card["files"] = file_checksums(folder)
        write_json(folder / CARD_NAME, card)
    return card


def _check_prompts_left(train: pd.DataFrame, kept: pd.DataFrame, limits: TokenLimits):
    """Checks that each prompt of the training essays has some that were not dropped as too long."""
    without = sort_prompt_ids(set(train["prompt_id"]) - set(kept["prompt_id"]))
    if without:
        raise InputError(
            f"`drop_longer_than` {limits.drop_longer_than} leaves no training essay of {len(without)} prompts: "
            f"{', '.join(without[:MAX_LISTED])}. Leave them out with `prompt_set`, or give a larger number."
        )


def load_essay_dataset(folder: str | Path) -> EssayDataset:
    """
    Loads a data set that [`build_dataset`] wrote.

    Raises:
        InputError: if [`build_dataset`] did not write the folder, or it is damaged.
    """
    folder = check_is_dataset(folder)
    card = read_card(folder)
    with explained(f"{folder} is damaged", "Build it again."):
        splits = load_from_disk(str(folder))
    missing = [name for name in NEEDED_SPLITS if name not in splits]
    if missing:
        raise InputError(f"{folder} is damaged: it has no split {missing[0]}. Build it again.")
    return EssayDataset(splits, card, folder)


def _values_of(table: EssayTable, prompt_ids: Collection[str]) -> dict:
    """What a card says of values beside the score: of traits, the scales of the data set's prompts alone."""
    traits = {
        trait: {prompt_id: scale for prompt_id, scale in ranges.items() if prompt_id in prompt_ids}
        for trait, ranges in table.values.traits.items()
    }
    return asdict(replace(table.values, traits=traits))


def _prompt_cards(frames: dict[str, pd.DataFrame]) -> dict[str, dict]:
    together = pd.concat(frames, names=["split"])
    essays_of = together.groupby("prompt_id")
    cards = {}
    for prompt_id, prompt in prompt_rows(together).items():
        essays, scale = essays_of.get_group(prompt_id), scale_of_row(prompt)
        num_essays = essays.index.get_level_values("split").value_counts()
        cards[prompt_id] = {
            "text": prompt["prompt"],
            **{name: values[0] for name, values in scale_columns([scale]).items()},
            "num_essays": {name: int(num_essays.get(name, 0)) for name in SPLITS},
            "scores": {
                scale.format(score): int(count) for score, count in essays["score"].value_counts().sort_index().items()
            },
            "num_prompts_cut": int((essays["prompt_tokens_cut"] > 0).sum()),
            "num_essays_cut": int((essays["essay_tokens_cut"] > 0).sum()),
        }
    return cards


def cut_sentences(card: dict) -> list[str]:
    """What a card says of prompts and essays that were too long, a sentence each."""
    cut = {kind: {name: p[f"num_{kind}_cut"] for name, p in card["prompts"].items()} for kind in ("prompts", "essays")}
    sentences = []
    if any(cut["essays"].values()):
        by_prompt = ", ".join(f"{number} of prompt {name}" for name, number in cut["essays"].items() if number)
        sentences.append(f"Too long, so that their ends were cut: {by_prompt} (essays).")
    if any(cut["prompts"].values()):
        names = ", ".join(name for name, number in cut["prompts"].items() if number)
        sentences.append(f"The text of these prompts was cut beside some essays: {names}.")
    dropped = sum(card["num_dropped_as_too_long"].values())
    if dropped:
        sentences.append(f"Left out, since they are longer than `drop_longer_than`: {dropped} essays.")
    return sentences
