"""The passage check fitted to essays of the demo corpus, and what it does to copies that were tampered with."""

import numpy as np
import pytest
from helpers import untrained_scorer

from trm_aes.cli import build
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.model.passages_trm import CHECKS, NO_LIMIT
from trm_aes.scoring.scorer import tokenized_rows
from trm_aes.training.fit.passages import fit_passage_check
from trm_aes.training.fit.penalties import append_other, fit_penalties


@pytest.fixture(scope="module")
def demo(demo_dir):
    """The linear head on the demo corpus, which scores by what is said and by how much of it."""
    data = load_essay_dataset(demo_dir)
    scorer = untrained_scorer(data)
    fit_passage_check(scorer.model, data)
    return scorer, data


@pytest.fixture(scope="module")
def attacked(demo):
    """Test essays as written, with another topic appended, and with their words shuffled."""
    _, data = demo
    essays = data.splits["test"].select_columns(["prompt_id", "essay"]).to_pandas()
    rng = np.random.default_rng(1)
    return {
        "prompts": list(essays["prompt_id"]),
        "written": list(essays["essay"]),
        "topic": [append_other(e.essay, donors_of(essays, e.prompt_id), rng) for e in essays.itertuples()],
        "order": [" ".join(rng.permutation(essay.split())) for essay in essays["essay"]],
    }


def donors_of(essays, prompt_id):
    """Essays of other prompts."""
    return essays.loc[essays["prompt_id"] != prompt_id, "essay"].to_numpy()


def measure(scorer, attacked, name):
    """Scores, in standard deviations of the prompt's scores, and shares unlike the training essays."""
    rows = tokenized_rows(scorer.encode(attacked[name], attacked["prompts"]), attacked["prompts"])
    scores, shares = np.zeros(len(rows)), np.zeros((len(rows), 2))
    stds = dict(zip(scorer.score_ranges, scorer.model.model.prompt_bank.score_stds.tolist(), strict=True))
    for places, outputs in scorer.outputs(rows):
        scores[places], shares[places] = outputs.logits[:, 0].numpy(), outputs.unlike_shares.numpy()
    return scores / np.array([stds[prompt_id] for prompt_id in attacked["prompts"]]), shares


def test_it_tells_text_of_another_topic_and_words_in_no_order(demo, attacked):
    scorer, _ = demo
    _, written = measure(scorer, attacked, "written")
    assert (written > 0.01).mean() < 0.06
    for column, name in enumerate(CHECKS):
        _, shares = measure(scorer, attacked, name)
        # Half of an essay is another's, all of its words are out of order.
        expected = (0.5, 1.0)[column]
        assert np.median(shares[:, column]) > 0.7 * expected, name


def test_what_was_added_is_taken_away(demo, attacked):
    scorer, data = demo
    before = {name: measure(scorer, attacked, name)[0] for name in ("written", *CHECKS)}
    # Without the check most essays gain by what another essay says.
    assert (before["topic"] > before["written"] + 1e-6).mean() > 0.3
    penalties = fit_penalties(scorer, data)
    assert set(penalties) == set(CHECKS) and all(0 < penalty <= 5 for penalty in penalties.values())
    after = {name: measure(scorer, attacked, name)[0] for name in ("written", *CHECKS)}
    assert (after["topic"] > after["written"] + 1e-6).mean() <= 0.2
    assert (after["order"] - after["written"]).mean() < -0.5
    # Essays as they were written hardly notice.
    assert np.abs(after["written"] - before["written"]).mean() < 0.05
    # What is asked for again is found again, whatever the penalties are now.
    assert fit_penalties(scorer, data) == pytest.approx(penalties)
    scorer.model.passage_check.penalties.zero_()


def test_doubling_and_repeating_change_no_score(demo, attacked):
    scorer, _ = demo
    essays, prompts = attacked["written"][:20], attacked["prompts"][:20]
    scores = [score.score for score in scorer.score(essays, prompts)]
    assert [s.score for s in scorer.score([f"{e}\n\n{e}" for e in essays], prompts)] == pytest.approx(scores, abs=1e-6)


def test_limits_are_of_each_essay_judged_by_the_others(demo):
    """One passage in a hundred lies below its limit, not fewer as if it had been judged by itself, too."""
    scorer, data = demo
    train = data.splits["train"].select_columns(["prompt_id", "input_ids", "token_type_ids"]).to_list()
    below = np.zeros(2)
    for _, outputs in scorer.outputs(train):
        below += (outputs.unlike_shares.numpy() > 0).sum(axis=0)
    # Judged by all essays, themselves among them, fewer are.
    assert (below / len(train) < 0.02).all()


def test_a_prompt_of_few_essays_has_no_limits(data_dir):
    data = load_essay_dataset(data_dir)
    scorer = untrained_scorer(data)
    fit_passage_check(scorer.model, data)
    assert (scorer.model.passage_check.limits == NO_LIMIT).all()
    assert fit_penalties(scorer, data) == {}
    assert not scorer.model.passage_check.penalties.any()


def test_a_single_prompt_is_told_from_other_text(demo, tmp_path):
    """There are no other prompts' essays to learn from."""
    _, data = demo
    frame = data.splits["train"].select_columns(["essay_id", "prompt_id", "essay", "score", "min_score", "max_score"])
    frame = frame.to_pandas()
    one = frame[frame["prompt_id"] == frame["prompt_id"].iloc[0]]
    one.to_csv(tmp_path / "one.csv", index=False)
    build.main(["--source", str(tmp_path / "one.csv"), "--output-dir", str(tmp_path / "data")])
    data = load_essay_dataset(tmp_path / "data")
    scorer = untrained_scorer(data)
    fit_passage_check(scorer.model, data)
    rng = np.random.default_rng(2)
    essays, prompt_id = one["essay"].to_list()[:40], one["prompt_id"].iloc[0]
    attacked = {
        "prompts": [prompt_id] * len(essays),
        "topic": [append_other(essay, donors_of(frame, prompt_id), rng) for essay in essays],
    }
    _, shares = measure(scorer, attacked, "topic")
    assert np.median(shares[:, 0]) > 0.25
