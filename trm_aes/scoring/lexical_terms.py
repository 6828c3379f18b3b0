"""The terms of the sum that the lexical head gives for an essay: the head is linear, so they are exact."""

from dataclasses import dataclass

import torch

from ..model.essays_trm import EssayBatch
from ..model.heads_trm import TRMLexicalHead, lexical_features
from ..model.layers_trm import word_weights
from ..model.prompts_trm import TRMPromptBank


@dataclass(frozen=True)
class LexicalTerms:
    """
    What makes up the lexical head's score of an essay, on the 0-1 scale: it is the sum of all of these.

    Args:
        tokens: what each token adds, in the order of `input_ids`; 0 for those that are not the essay's.
        others: what else adds to it, by name: see [`ScoreParts`].
    """

    tokens: list[float]
    others: dict[str, float]


@torch.no_grad()
def lexical_terms(head: TRMLexicalHead, bank: TRMPromptBank, essays: EssayBatch) -> LexicalTerms:
    """
    Takes the lexical head's score apart.

    Args:
        head, bank: of one model.
        essays: a batch of one.
    """
    ids, prompts = essays.input_ids, essays.prompt_indices
    shares, counts = lexical_features(ids, essays.is_essay, essays.lengths, head.words.num_embeddings)
    *tokens, separator = (shares * word_weights(head.words, ids, prompts))[0].tolist()
    constant, length, distinct_words = (counts * head.counts(prompts).float())[0].tolist()
    # The separator stands behind every essay.
    others = {"constant": constant + separator, "length": length, "distinct_words": distinct_words}
    if head.features is not None:
        others["text_features"] = float((essays.text_features * head.features(prompts).float()).sum())
    if head.states is not None:
        moments = head.standardize_moments(essays.encoded.moments(), prompts)
        others["encoder_states"] = float((moments * head.states(prompts).float()).sum())
    # To the 0-1 scale, as [`TRMPromptBank.to_unit_scale`] does.
    mean, std = float(bank.score_means[prompts]), float(bank.score_stds[prompts])
    others = {"prompt_mean": mean, **{name: std * value for name, value in others.items()}}
    return LexicalTerms([std * value for value in (*tokens, 0.0)], others)
