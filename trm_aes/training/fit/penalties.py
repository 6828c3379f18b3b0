"""What it costs an essay to have passages unlike the training essays: measured on copies that were tampered with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...data.dataset import EssayDataset
from ...data.sources.demo import load_demo
from ...model.passages_trm import CHECKS, NO_LIMIT
from ...scoring.scorer import EssayScorer, tokenized_rows

# Copies of each kind: so many of each prompt, and at least so many in all.
COPIES_OF_PROMPT, LEAST_COPIES = 12, 64
# The share of copies that appended text must not raise.
SHARE_COVERED = 0.8
# What an essay loses when its words are in no order, in standard deviations of the prompt's scores; half of the copies lose
# more.
LOSS_WITHOUT_ORDER = 1.0
# A copy less unlike the training essays than this says nothing of what being unlike them should cost.
LEAST_UNLIKE = 0.05
MAX_PENALTY = 5.0


@torch.no_grad()
def fit_penalties(scorer: EssayScorer, data: EssayDataset, seed: int = 0) -> dict[str, float]:
    """
    Sets what the passage check takes from scores: text of another topic, appended, must not raise more than a fifth of the
    essays, and words in no order must cost half of them a standard deviation. Both are measured on copies of training
    essays. Text of another topic comes from the other prompts' training essays, or from the demo corpus where there is one
    prompt.

    Args:
        scorer: calibrated; its passage check knows the training essays, and is changed.
        data: with the training essays' texts.
        seed: of what is drawn.

    Returns:
        The penalty of each check, in standard deviations of a prompt's scores for an essay that is wholly unlike the
        training essays; the same for all prompts. Empty where no prompt has limits.
    """
    check: Any = scorer.model.passage_check
    # What is measured is the scores without them.
    check.penalties.zero_()
    rng = np.random.default_rng(seed)
    train = data.splits["train"].select_columns(["prompt_id", "essay"]).to_pandas()
    limited = (check.limits > NO_LIMIT).all(dim=1).tolist()
    known = train[
        train["prompt_id"].isin([name for name, has in zip(scorer.score_ranges, limited, strict=True) if has])
    ]
    if known.empty:
        return {}
    per_prompt = max(COPIES_OF_PROMPT, -(-LEAST_COPIES // len(data.score_ranges)))
    own = known.groupby("prompt_id", group_keys=False)[["prompt_id", "essay"]].apply(
        lambda essays: essays.sample(min(per_prompt, len(essays)), random_state=seed)
    )
    prompt_ids = list(own["prompt_id"])
    scores, shares = _measure(scorer, list(own["essay"]), prompt_ids)
    others = train if train["prompt_id"].nunique() > 1 else load_demo().frame
    topic: list[str] = []
    for prompt_id, essays in own.groupby("prompt_id", sort=False):
        donors = others.loc[others["prompt_id"] != prompt_id, "essay"].to_numpy()
        topic += [append_other(essay, donors, rng) for essay in essays["essay"]]
    copies = {
        "topic": topic,
        "order": [" ".join(rng.permutation(essay.split())) for essay in own["essay"]],
    }
    penalties = {}
    for column, (name, margin, covered) in enumerate(
        [("topic", 0.0, SHARE_COVERED), ("order", LOSS_WITHOUT_ORDER, 0.5)]
    ):
        tampered, unlike = _measure(scorer, copies[name], prompt_ids)
        more = np.maximum(unlike[:, column] - shares[:, column], LEAST_UNLIKE)
        needed = np.quantile((tampered - scores + margin) / more, covered)
        penalties[name] = float(np.clip(needed, 0, MAX_PENALTY))
    check.penalties.copy_(torch.tensor([penalties[name] for name in CHECKS]))
    return penalties


def append_other(essay: str, donors: np.ndarray, rng: np.random.Generator) -> str:
    """An essay with as many words of some of the `donors`, essays of other prompts, behind it as it has itself."""
    words = essay.split()
    appended: list[str] = []
    while len(appended) < len(words):
        appended += donors[rng.integers(len(donors))].split()
    return " ".join([essay, *appended[: len(words)]])


def _measure(scorer: EssayScorer, essays: Sequence[str], prompt_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Scores `(essays,)`, in standard deviations, and shares unlike the training essays `(essays, 2)`."""
    rows = tokenized_rows(scorer.encode(essays, prompt_ids), prompt_ids)
    scores, shares = np.zeros(len(rows)), np.zeros((len(rows), len(CHECKS)))
    for indices, outputs in scorer.outputs(rows):
        unlike: Any = outputs.unlike_shares
        scores[indices], shares[indices] = outputs.logits[:, 0].float().cpu().numpy(), unlike.cpu().numpy()
    stds = scorer.model.model.prompt_bank.score_stds.tolist()
    unit_of = dict(zip(scorer.score_ranges, stds, strict=True))
    return scores / np.array([unit_of[prompt_id] for prompt_id in prompt_ids]), shares
