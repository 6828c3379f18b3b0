"""The lexical head's closed form against the normal equations, solved here with dense matrices."""

import numpy as np
import pytest
import torch
from helpers import dense_inputs

from trm_aes.data.dataset import load_essay_dataset
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.training.arguments import RunArguments
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.recipe import resolve_plan
from trm_aes.training.untrained import Pretrained, build_model

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "embedding_size": 16}


@pytest.fixture(scope="module")
def fitted(data_dir):
    data = load_essay_dataset(data_dir)
    run = RunArguments(data=str(data_dir), recipe="tiny", hardware="cpu", embeddings="none")
    plan = resolve_plan(run, SMALL, {"output_dir": "not written"})
    model = build_model(plan, data, data.load_tokenizer(), Pretrained(None, None)).eval()
    fit_lexical_head(model, data)
    return model, data


def lexical_scores(model, data, essays):
    columns = ["input_ids", "token_type_ids", "score", "min_score", "max_score"]
    batch = EssayCollator(data.load_tokenizer())(essays.select_columns(columns).to_list())
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        return model._lexical_scores(model.model.prepare_essays(**inputs))[:, 0], batch["labels"]


@pytest.mark.parametrize("prompt_id", ["a", "b"])
def test_it_is_the_ridge_regression_of_the_prompts_essays(fitted, prompt_id):
    model, data = fitted
    essays = data.splits["train"].filter(lambda row: row["prompt_id"] == prompt_id)
    scores, gold = lexical_scores(model, data, essays)

    centered = dense_inputs(essays, len(data.load_tokenizer()))
    # What both raters gave on average, which is the gold score but for one essay, on the scale of the gold scores.
    raters = np.array([(row["rater1"] + row["rater2"]) / 2 for row in essays])
    raters = (raters - raters.mean()) / raters.std() * gold.numpy().std() + gold.numpy().mean()
    assert (np.abs(raters - gold.numpy()).max() > 0.01) == (prompt_id == "b")
    errors = raters - raters.mean()
    # In the space of essays: few rows, many columns.
    dual = np.linalg.solve(centered @ centered.T + 0.3 * np.eye(len(essays)), errors)
    expected = gold.numpy().mean() + centered @ centered.T @ dual
    np.testing.assert_allclose(scores.numpy(), expected, atol=2e-3)


def test_it_orders_unseen_essays_and_takes_no_part_in_training(fitted):
    model, data = fitted
    scores, gold = lexical_scores(model, data, data.splits["validation"])
    # A word tells the score of these essays.
    assert np.corrcoef(scores.numpy(), gold.numpy())[0, 1] > 0.9
    assert not any(weight.requires_grad for weight in model.lexical_head.parameters())
