"""The lexical head, solved in closed form before training: a ridge regression on each prompt's words."""

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import Ridge

from ...data.dataset import EssayDataset
from ...model.modeling_trm import TRMForEssayScoring, log_length

# Chosen on the validation essays of ASAP's fold 0 (docs/experiments.md), for features scaled as below.
PENALTY = 0.3
COUNTS_SCALE = 0.1


@torch.no_grad()
def fit_lexical_head(model: TRMForEssayScoring, data: EssayDataset):
    """
    Gives the lexical head the weights that score the training essays best under a penalty, and keeps them out of
    training. AdamW, whose steps are as long for a rare word as for any other, finds worse ones.

    Args:
        model: its prompts must have been described.
        data: with essays of every prompt in `train`.
    """
    prompts, head = model.model.prompts, model.lexical_head
    columns = ["prompt_id", "score", "input_ids", "token_type_ids"]
    train = data.splits["train"].select_columns(columns).to_pandas()
    for place, (prompt_id, score_range) in enumerate(data.score_ranges.items()):
        essays = train[train["prompt_id"] == prompt_id]
        tokens = [
            np.asarray(ids)[np.asarray(segments) == 1]
            for ids, segments in zip(essays["input_ids"], essays["token_type_ids"], strict=True)
        ]
        words, counts = _features(tokens, head.words.num_embeddings)
        log_lengths = torch.tensor(counts[:, 0], dtype=torch.float)
        counts[:, 0] = prompts.standardize_length(log_lengths, torch.full((len(essays),), place)).numpy()
        scores = score_range.normalize(essays["score"].to_numpy())
        targets = (scores - prompts.score_means[place].item()) / prompts.score_stds[place].item()
        # Rows of unit length on average, and counts a tenth of that: one penalty serves both.
        word_scale = 1 / np.sqrt(words.multiply(words).sum() / len(essays))
        means, deviations = counts.mean(axis=0), np.maximum(counts.std(axis=0), 1e-6)
        inputs = hstack([words * word_scale, csr_matrix((counts - means) / deviations * COUNTS_SCALE)]).tocsr()
        ridge = Ridge(alpha=PENALTY).fit(inputs, targets)
        of_words, of_counts = ridge.coef_[:-2] * word_scale, ridge.coef_[-2:] * COUNTS_SCALE / deviations
        head.words.weight[:, place] = torch.tensor(of_words)
        head.counts.weight[place] = torch.tensor([ridge.intercept_ - of_counts @ means, *of_counts])
    head.requires_grad_(False)


def _features(essays: list[np.ndarray], vocab_size: int) -> tuple[csr_matrix, np.ndarray]:
    """
    What [`TRMLexicalHead`] sees of essays: `1 + log(count)` of each word piece, `(essays, vocab_size)`; log length and
    distinct word pieces in hundreds, `(essays, 2)`.
    """
    distinct = [np.unique(tokens, return_counts=True) for tokens in essays]
    ends = np.cumsum([0, *(len(ids) for ids, _ in distinct)])
    values = np.concatenate([1 + np.log(counts) for _, counts in distinct])
    words = csr_matrix((values, np.concatenate([ids for ids, _ in distinct]), ends), shape=(len(essays), vocab_size))
    log_lengths = [log_length(torch.ones(1, len(tokens))).item() for tokens in essays]
    return words, np.column_stack([log_lengths, [len(ids) / 100 for ids, _ in distinct]])
