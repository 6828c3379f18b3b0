"""The lexical head, solved in closed form before training: a ridge regression on each prompt's words."""

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.linear_model import Ridge

from ...data.dataset import EssayDataset
from ...model.essay_tokens import EssayCollator, prompt_index_of
from ...model.essays_trm import EssayBatch, log_lengths
from ...model.modeling_trm import TRMForEssayScoring
from ...model.prompts_trm import TRMLexicalHead, TRMPromptBank, lexical_features

# Chosen on the validation essays of ASAP's fold 0 (docs/lab/experiments.md), for features scaled as below.
PENALTY = 0.3
COUNTS_SCALE = 0.1
# Essays whose features are worked out at once: each takes a number for every word of the vocabulary.
CHUNK = 64


@torch.no_grad()
def fit_lexical_head(model: TRMForEssayScoring, data: EssayDataset):
    """
    Gives the lexical head the weights that score the training essays best under a penalty, and keeps them out of
    training. AdamW, whose steps are as long for a rare word as for any other, finds worse ones.

    Args:
        model: its prompt bank must know the prompts' statistics.
        data: with essays of every prompt in `train`.
    """
    bank, head = model.model.prompt_bank, model.lexical_head
    if bank is None or head is None:
        raise ValueError("The model has no lexical head.")
    train = data.splits["train"].select_columns(["prompt_id", "score", "input_ids", "token_type_ids"]).to_pandas()
    collate = EssayCollator(data.load_tokenizer(), prompt_index_of(model.config))
    for place, (prompt_id, score_range) in enumerate(data.score_ranges.items()):
        essays = train[train["prompt_id"] == prompt_id]
        words, counts = _features(bank, head, essays.drop(columns="score").to_dict("records"), collate)
        scores = score_range.normalize(essays["score"].to_numpy())
        targets = (scores - bank.score_means[place].item()) / bank.score_stds[place].item()
        # Rows of unit length on average, and counts a tenth of that: one penalty serves both.
        word_scale = 1 / np.sqrt(words.multiply(words).sum() / len(essays))
        means, deviations = counts.mean(axis=0), np.maximum(counts.std(axis=0), 1e-6)
        inputs = hstack([words * word_scale, csr_matrix((counts - means) / deviations * COUNTS_SCALE)]).tocsr()
        ridge = Ridge(alpha=PENALTY).fit(inputs, targets)
        num_counts = counts.shape[1]
        of_words = ridge.coef_[:-num_counts] * word_scale
        of_counts = ridge.coef_[-num_counts:] * COUNTS_SCALE / deviations
        head.words.weight[:, place] = torch.tensor(of_words)
        head.counts.weight[place] = torch.tensor([ridge.intercept_ - of_counts @ means, *of_counts])
    head.requires_grad_(False)


def _features(
    bank: TRMPromptBank, head: TRMLexicalHead, rows: list[dict], collate: EssayCollator
) -> tuple[csr_matrix, np.ndarray]:
    """
    What the head sees of essays of one prompt: a row of `1 + log(count)` for each word piece, `(essays, vocab_size)`, and
    its counts but for the constant, which the regression has of its own, `(essays, 2)`.
    """
    vocab_size = head.words.num_embeddings
    words, counts = [], []
    for start in range(0, len(rows), CHUNK):
        batch = collate(rows[start : start + CHUNK])
        prompt_indices = batch.pop("prompt_indices")
        ids, is_essay = batch["input_ids"], EssayBatch.from_tensors(**batch).is_essay
        lengths = bank.standardize_lengths(log_lengths(is_essay), prompt_indices)
        shares, of_essay = lexical_features(ids, is_essay, lengths, vocab_size)
        row, column = is_essay.nonzero(as_tuple=True)
        # The shares of one word piece stand in several places and are added up.
        entries = (shares[row, column].double().numpy(), (row.numpy(), ids[row, column].numpy()))
        words.append(csr_matrix(entries, shape=(len(of_essay), vocab_size)))
        counts.append(of_essay[:, 1:].double().numpy())
    return vstack(words).tocsr(), np.concatenate(counts)
