"""How long essays are in tokens, by prompt: what `max_tokens` would cut."""

import numpy as np
import pandas as pd

from ..model.configuration_trm import sort_prompt_ids
from ..model.essay_tokens import EncodedEssay


def length_table(frame: pd.DataFrame, encoded: list[EncodedEssay], max_tokens: int) -> pd.DataFrame:
    """
    Lengths of the uncut sequences (prompt, essay and special tokens), in tokens.

    Args:
        frame: essays, with their `prompt_id`.
        encoded: their tokens, in the same order.
        max_tokens: the limit to compare with.

    Returns:
        A row a prompt, and one for `all`: `n`, `mean`, `median`, `p90`, `p95`, `p99`, `longest`, and `over`, the share
        (0-1) longer than `max_tokens`.
    """
    lengths = np.array([essay.num_tokens for essay in encoded])
    prompt_ids = frame["prompt_id"].to_numpy()
    groups = {prompt_id: lengths[prompt_ids == prompt_id] for prompt_id in sort_prompt_ids(prompt_ids)}
    groups["all"] = lengths
    return pd.DataFrame([_length_statistics(name, group, max_tokens) for name, group in groups.items()]).set_index(
        "prompt_id"
    )


def _length_statistics(name: str, lengths: np.ndarray, max_tokens: int) -> dict:
    p90, p95, p99 = np.percentile(lengths, [90, 95, 99])
    return {
        "prompt_id": name,
        "n": len(lengths),
        "mean": float(lengths.mean()),
        "median": float(np.median(lengths)),
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "longest": int(lengths.max()),
        "over": float((lengths > max_tokens).mean()),
    }


def format_length_table(table: pd.DataFrame, max_tokens: int) -> str:
    """Writes the table as text; the last column is the share over `max_tokens`."""
    shown = table.rename(columns={"over": f"over {max_tokens}"})
    formats = {name: "{:.0f}".format for name in ("mean", "median", "p90", "p95", "p99")}
    formats[f"over {max_tokens}"] = "{:.1%}".format
    return shown.to_string(formatters=formats)
