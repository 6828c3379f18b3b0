"""What will be built, said before anything is written: columns, prompts, ranges, and where each came from."""

from collections.abc import Collection

from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..naming import MAX_LISTED
from .scales import scale_of_row
from .schema import EssayTable, prompt_rows
from .splits import SPLITS, Splits

# With fewer training essays a prompt's scores are hardly better than its mean.
FEW_TRAIN_ESSAYS = 30
MAX_SHOWN_PROMPTS = 40


def overview(table: EssayTable, splits: Splits, splits_from: str) -> str:
    """
    A table of what will be built, as text.

    Args:
        table: the source.
        splits: its essays by split.
        splits_from: where the splits come from, in words for people.
    """
    counts = _counts(splits)
    lines = [f"{table.source}: {sum(len(frame) for frame in splits.frames.values()):,} essays"]
    lines += [f"  {role:<12} {told}" for role, told in table.provenance.columns.items()]
    lines += [f"  {name:<20.20} {told}" for name, told in _trait_scales(table, set(counts)).items()]
    lines += [f"  {'splits':<12} {splits_from}", *(f"  {note}" for note in table.provenance.notes)]
    lines.append(f"{'prompt':<20} {'scale':<18} {'from':<17} {'train':>7}{'valid.':>8}{'test':>7}  text from")
    known = prompt_rows(table.frame)
    for prompt_id in list(counts)[:MAX_SHOWN_PROMPTS]:
        row = known[prompt_id]
        scale = str(scale_of_row(row))
        numbers = counts[prompt_id]
        lines.append(
            f"{prompt_id:<20.20} {scale:<18} {table.provenance.ranges.get(prompt_id, 'source'):<17} "
            f"{numbers['train']:>7}{numbers['validation']:>8}{numbers['test']:>7}  "
            f"{table.provenance.texts.get(prompt_id, 'source')}"
        )
    if len(counts) > MAX_SHOWN_PROMPTS:
        lines.append(f"and {len(counts) - MAX_SHOWN_PROMPTS:,} more prompts")
    total = {split: sum(numbers[split] for numbers in counts.values()) for split in SPLITS}
    lines.append(f"{'all':<57} {total['train']:>7}{total['validation']:>8}{total['test']:>7}")
    return "\n".join(lines)


def _trait_scales(table: EssayTable, prompt_ids: Collection[str]) -> dict[str, str]:
    """`trait -> scales` in words, prompts of one scale together: `1 to 6 (scores seen) in 1, 2; 0 to 3 (given) in 3`."""
    told = {}
    for trait, ranges in table.values.traits.items():
        by_scale: dict[str, list[str]] = {}
        for prompt_id, scale in ranges.items():
            if prompt_id in prompt_ids:
                origin = table.provenance.trait_ranges.get(trait, {}).get(prompt_id, "source")
                by_scale.setdefault(f"{scale} ({origin})", []).append(prompt_id)
        told[trait] = (
            "; ".join(f"{scale} in {_first(sort_prompt_ids(names))}" for scale, names in by_scale.items())
            or "in no prompt"
        )
    return told


def check_traits(table: EssayTable, splits: Splits) -> list[str]:
    """Warnings about traits of which a prompt's training essays have no two different scores, a sentence each."""
    train = splits.frames["train"]
    warnings = []
    for trait, ranges in table.values.traits.items():
        num_scores = train.groupby("prompt_id")[trait].nunique()
        untold = [prompt_id for prompt_id in ranges if num_scores.get(prompt_id, 2) < 2]
        if untold:
            warnings.append(
                f"Warning: the training essays have no two different scores of trait {trait!r} in {_first(untold)}: it is not "
                "learned there."
            )
    return warnings


def check_prompts(table: EssayTable, splits: Splits) -> list[str]:
    """
    Warnings about prompts with few training essays, a sentence each.

    Raises:
        InputError: if a prompt has none.
    """
    numbers = {prompt_id: counts["train"] for prompt_id, counts in _counts(splits).items()}
    without = [prompt_id for prompt_id, number in numbers.items() if not number]
    way_on = _way_on(table)
    if without:
        raise InputError(
            f"{table.source}: {len(without)} of {len(numbers)} prompts have no training essays: {_first(without)}. Leave them "
            f"out with `prompt_set`, or give them some.{way_on}"
        )
    few = [f"{prompt_id} ({number})" for prompt_id, number in numbers.items() if number < FEW_TRAIN_ESSAYS]
    if not few:
        return []
    return [
        f"Warning: {len(few)} of {len(numbers)} prompts have fewer than {FEW_TRAIN_ESSAYS} training essays: {_first(few)}."
        f"{way_on}"
    ]


def _way_on(table: EssayTable) -> str:
    """What to do if the prompts are none: where each text of a column is one, the column may hold something else."""
    taken = table.provenance.columns
    if "prompt" not in taken or taken.get("prompt_id", "").startswith("column"):
        return ""
    return (
        f" Each text of {taken['prompt']} is a prompt; if it holds no tasks, `no_prompts` reads all essays as one task."
    )


def _counts(splits: Splits) -> dict[str, dict[str, int]]:
    """`prompt_id -> split -> essays`."""
    by_split = {split: frame["prompt_id"].value_counts() for split, frame in splits.frames.items()}
    prompt_ids = sort_prompt_ids(prompt_id for counts in by_split.values() for prompt_id in counts.index)
    return {
        prompt_id: {split: int(by_split[split].get(prompt_id, 0)) if split in by_split else 0 for split in SPLITS}
        for prompt_id in prompt_ids
    }


def _first(names: list[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else "")
