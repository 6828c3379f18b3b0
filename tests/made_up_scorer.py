"""A scorer with all parts that a score can have, untrained, and an essay for it."""

import torch
from helpers import READING, SMALL_ENCODER, reading_model
from torch import nn

from trm_aes.scoring.scorer import EssayScorer

FEATURES = ["log_words", "comma_rate", "paragraphs"]
ESSAY = (
    "Computers help people, and people help computers. Some say that they are bad.\n\nI do not think so! Children learn "
    "many things with unbelievable computers. Some say that they are bad. My uncle works with computers, too."
)


def full_scorer(tokenizer, **changes) -> EssayScorer:
    """A scorer with an encoder, text features, a passage check that always costs something, and two steps of recursion."""
    encoder = {**SMALL_ENCODER, "vocab_size": len(tokenizer), "max_position_embeddings": 12}
    settings = {
        "vocab_size": len(tokenizer), "encoder": encoder, "text_features": FEATURES, "passage_check": True,
        "lexical_share": 0.4, "max_position_embeddings": 96, "skip_repetition": True, "auxiliary_targets": None,
        "prompt_texts": {"1": "Write about computers.", "2": "Write about ships."}, "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }  # fmt: skip
    model = reading_model(**{**READING, **settings, **changes})
    torch.manual_seed(4)
    bank = model.model.prompt_bank
    bank.length_means.fill_(-2.0)
    bank.feature_means.copy_(torch.tensor([[3.0, 2.0, 1.0], [2.0, 1.0, 1.0]]))
    bank.feature_stds.fill_(1.5)
    nn.init.normal_(model.lexical_head.features.weight, std=0.3)
    nn.init.normal_(model.model.reader.features.weight, std=0.3)
    nn.init.normal_(model.score_head.weight, std=0.3)
    if model.passage_check is not None:
        # Every passage is somewhat unlike: its ratio of 0 lies half a spread below the limit.
        nn.init.zeros_(model.passage_check.words.weight)
        model.passage_check.limits.copy_(torch.tensor([[0.5, -1e4], [0.25, -1e4]]))
        model.passage_check.spreads.fill_(1.0)
        model.passage_check.penalties.fill_(0.3)
    return EssayScorer(model, tokenizer, "full")
