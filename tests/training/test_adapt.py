"""A new prompt from a few essays: what the scorer knew stays, and its scores of the new prompt are what the closed form says."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import small_config
from scipy.sparse import csr_matrix

from trm_aes.cli import adapt, evaluate
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.data.sources.own import load_own_table
from trm_aes.errors import InputError
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.model.passages_trm import CHECKS, NO_LIMIT
from trm_aes.model.score_scale import ScoreRange
from trm_aes.model.text_features_trm import FEATURE_NAMES
from trm_aes.publishing.model_card import render_model_card
from trm_aes.records import RunRecord
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training import adapt as adapting
from trm_aes.training.adapt import adapt_scorer
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.fit.prompts import set_prompt_statistics
from trm_aes.training.fit.regression import Inputs, Weighing, solve
from trm_aes.training.fit.transfer import PRIOR_ESSAYS, set_spreads, with_prompts
from trm_aes.training.states import read_with_encoder

# Words that stand in no training essay.
WORDS = ["red", "brown", "green", "blue"]


def essays_of_a_new_prompt(num_essays, seed=0):
    """Essays whose score (0 to 3) is told by words that the scorer has never seen."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_essays):
        score = number % 4
        words = rng.permutation(
            [WORDS[score]] * 6 + ["some", "words", "of", "the", "harbor", "fleet"][: rng.integers(3, 7)]
        )
        rows.append({"essay": f"Ships {rng.integers(100)} are {' '.join(words)}.", "score": score})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def few_csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("few") / "few.csv"
    essays_of_a_new_prompt(20).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def few(few_csv):
    return load_own_table(few_csv, score_ranges={None: ScoreRange(0, 4)}, prompt_id="ships", observe_ranges=False)


@pytest.fixture(scope="module")
def words_scorer(model_dir):
    return EssayScorer.from_pretrained(model_dir, "cpu")


@pytest.fixture(scope="module")
def reading_scorer(data_dir):
    """A scorer that reads an encoder's states and text features; its heads are fitted, its recursion is random."""
    data = load_essay_dataset(data_dir)
    tokenizer = data.load_tokenizer()
    encoder = {
        "model_type": "bert", "vocab_size": len(tokenizer), "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 40,
    }  # fmt: skip
    config = small_config(
        vocab_size=len(tokenizer), num_latents=3, prompt_registers=True, lexical_head=True, encoder=encoder,
        num_convolutions=0, cls_token_id=tokenizer.cls_token_id, sep_token_id=tokenizer.sep_token_id,
        text_features=list(FEATURE_NAMES), num_supervision_steps=1, max_position_embeddings=64, max_prompt_tokens=8,
        score_ranges={key: [r.min_score, r.max_score] for key, r in data.score_ranges.items()},
        prompt_texts=data.prompt_texts,
    )  # fmt: skip
    torch.manual_seed(0)
    model = TRMForEssayScoring(config).eval()
    set_prompt_statistics(model, data, tokenizer)
    states = read_with_encoder(
        model.model.encoder, data.splits["train"], EssayCollator(tokenizer), torch.device("cpu"), "Reading"
    )
    fit_lexical_head(model, data, states)
    return EssayScorer(model, tokenizer, "reading")


@pytest.fixture(params=["words_scorer", "reading_scorer"])
def scorer(request):
    return request.getfixturevalue(request.param)


def raw_scores(scorer, essays, prompt_id):
    """0-1 scale, not clipped."""
    encoded = scorer.encode(list(essays), [prompt_id] * len(essays))
    rows = [
        {"input_ids": e.input_ids, "token_type_ids": e.token_type_ids, "prompt_id": prompt_id}
        | ({} if e.text_features is None else {"text_features": e.text_features})
        for e in encoded
    ]
    return scorer.score_tokens(rows).normalized


def test_known_prompts_are_scored_as_before_to_the_bit(scorer, few):
    before = {name: weights.clone() for name, weights in scorer.model.state_dict().items()}
    adapted, _ = adapt_scorer(scorer, few)
    essays = [f"Essay {number} is good and {word}." for number, word in enumerate(WORDS)]
    for prompt_id in ("a", "b"):
        np.testing.assert_array_equal(raw_scores(adapted, essays, prompt_id), raw_scores(scorer, essays, prompt_id))
    assert list(scorer.score_ranges) == ["a", "b"] and list(adapted.score_ranges) == ["a", "b", "ships"]
    # The scorer that was given has not changed.
    assert all(torch.equal(before[name], weights) for name, weights in scorer.model.state_dict().items())


def test_few_essays_order_unseen_ones_and_set_the_scale(scorer, few):
    adapted, told = adapt_scorer(scorer, few)
    unseen = essays_of_a_new_prompt(40, seed=1)
    scores = [result.score for result in adapted.score(list(unseen["essay"]), ["ships"] * 40)]
    assert np.corrcoef(scores, unseen["score"])[0, 1] > 0.9
    # Without the few essays it cannot know these words.
    untold = EssayScorer(
        with_prompts(scorer.model, scorer.tokenizer, {"ships": [0, 4]}, {"ships": "Prompt ships"}),
        scorer.tokenizer,
        "x",
    )
    assert abs(np.corrcoef(raw_scores(untold, unseen["essay"], "ships"), unseen["score"])[0, 1]) < 0.7
    # The few essays' own scores have the gold mean: 1.5 of 0 to 4.
    own = raw_scores(adapted, few.frame["essay"], "ships")
    assert own.mean() == pytest.approx(1.5 / 4, abs=2e-3)
    assert told["ships"].num_essays == 20 and told["ships"].score_range == (0, 4)
    assert told["ships"].left_out["n"] == 20 and told["ships"].left_out["qwk"] > 0.7


def test_a_new_prompt_starts_from_the_mean_of_the_known_ones(scorer):
    grown = with_prompts(scorer.model, scorer.tokenizer, {"aa": [1, 9]}, {"aa": "Write about aa."})
    # Prompts keep one order, so the new one stands between those that were there.
    assert list(grown.config.score_ranges) == ["a", "aa", "b"]
    old, new = scorer.model.state_dict(), grown.state_dict()
    assert torch.equal(new["lexical_head.words.weight"][:, [0, 2]], old["lexical_head.words.weight"])
    torch.testing.assert_close(new["lexical_head.words.weight"][:, 1], old["lexical_head.words.weight"].mean(1))
    for name in ("registers.weight", "score_weights.weight", "score_means", "length_stds"):
        known, of_all = old[f"model.prompt_bank.{name}"], new[f"model.prompt_bank.{name}"]
        assert torch.equal(of_all[[0, 2]], known)
        torch.testing.assert_close(of_all[1], known.mean(0))
    # It is recognized by its text where no id is given.
    tokens = scorer.tokenizer("Write about aa.", "An essay.", return_tensors="pt")
    essays = {name: tokens[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    if scorer.model.config.text_features:
        essays["text_features"] = torch.zeros(1, len(FEATURE_NAMES))
    assert grown.model.prepare_essays(**essays).prompt_indices.tolist() == [1]


def test_a_new_prompt_has_the_order_check_of_the_prompts_that_have_one(words_scorer):
    model = TRMForEssayScoring(small_config(
        vocab_size=len(words_scorer.tokenizer), num_latents=3, prompt_registers=True, lexical_head=True, passage_check=True,
        score_ranges={"a": [1, 6], "b": [1, 6], "c": [1, 6]}, max_position_embeddings=64, max_prompt_tokens=8,
    ))  # fmt: skip
    topic, order = CHECKS.index("topic"), CHECKS.index("order")
    limits = model.passage_check.limits
    for known, expected in (([1.0, NO_LIMIT, 3.0], 2.0), ([NO_LIMIT] * 3, NO_LIMIT)):
        limits[:, topic], limits[:, order] = 0.5, torch.tensor(known)
        grown = with_prompts(model, words_scorer.tokenizer, {"d": [1, 9]}, {"d": "Write about d."})
        assert grown.passage_check.limits[:, order].tolist() == [*known, expected]
        assert grown.passage_check.limits[:, topic].tolist() == [0.5, 0.5, 0.5, NO_LIMIT]


def test_spreads_are_drawn_toward_those_of_the_known_prompts():
    means = torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    stds = torch.tensor([[1.0, 2.0, torch.inf], [3.0, torch.inf, torch.inf], [0.0, 0.0, 0.0]])
    values = np.array([[6.0, 1.0, 4.0], [10.0, 1.0, 5.0]])
    set_spreads(means, stds, 2, values, torch.tensor([0, 1]))
    share = 2 / (2 + PRIOR_ESSAYS)
    np.testing.assert_allclose(means[2, :2], [share * 8 + (1 - share) * 2, share * 1 + (1 - share) * 5], rtol=1e-6)
    # Variances are averaged; a prompt in which a thing never varied has no say, and what never varied in any says nothing.
    np.testing.assert_allclose(stds[2, :2], np.sqrt([share * 4 + (1 - share) * 5, (1 - share) * 4]), rtol=1e-6)
    assert torch.isinf(stds[2, 2]) and means[0].tolist() == [1, 5, 0]


def test_left_out_is_what_a_regression_without_the_essay_says():
    rng = np.random.default_rng(0)
    inputs = Inputs(
        csr_matrix(rng.random((8, 30))), rng.random((8, 2)), rng.standard_normal((8, 4)), rng.standard_normal((8, 6))
    )
    targets = rng.standard_normal(8)
    regression = solve(inputs, targets, Weighing(0.7, 0.1, 0.2, 0.3))
    centered = targets - targets.mean()
    for place in range(8):
        others = np.arange(8) != place
        kernel = regression.products.full()[np.ix_(others, others)] + 0.7 * np.eye(7)
        expected = (
            regression.products.full()[place, others] @ np.linalg.solve(kernel, centered[others]) + targets.mean()
        )
        assert regression.left_out()[place] == pytest.approx(expected)
    assert np.abs(regression.left_out() - targets).min() > np.abs(regression.fitted() - targets).min()


@pytest.mark.parametrize("lexical_share", [0.5, 0.2])
def test_the_correction_is_the_ridge_regression_of_what_is_wrong(words_scorer, few, monkeypatch, lexical_share):
    """The score of the few essays, against the normal equations on the errors of the mean of the known prompts."""
    seen = {}

    def spy(inputs, targets, weighing):
        seen["inputs"], seen["targets"], seen["weighing"] = inputs, targets, weighing
        return solve(inputs, targets, weighing)

    monkeypatch.setattr(adapting, "solve", spy)
    monkeypatch.setattr(words_scorer.model.config, "lexical_share", lexical_share)
    adapted, _ = adapt_scorer(words_scorer, few)
    gold = few.frame["score"].to_numpy() / 4
    standardized = (gold - gold.mean()) / gold.std()
    shared = standardized - seen["targets"]
    counts = seen["inputs"].words.toarray()
    counts /= np.sqrt((counts**2).sum() / len(counts))
    lengths = seen["inputs"].counts
    lengths = (lengths - lengths.mean(axis=0)) / np.maximum(lengths.std(axis=0), 1e-6)
    blocks = [(lengths, seen["weighing"].counts), (seen["inputs"].features, seen["weighing"].features)]
    inputs = np.column_stack([counts, *(np.sqrt(variance) * block for block, variance in blocks)])
    inputs -= inputs.mean(axis=0)
    errors = seen["targets"] - seen["targets"].mean()
    weights = inputs.T @ np.linalg.solve(inputs @ inputs.T + seen["weighing"].penalty * np.eye(20), errors)
    expected = shared + inputs @ weights
    scores = raw_scores(adapted, few.frame["essay"], "ships")
    # But for the scale, which is matched afterwards.
    np.testing.assert_allclose(
        (scores - scores.mean()) / scores.std(), (expected - expected.mean()) / expected.std(), atol=2e-3
    )


def test_what_cannot_be_learned_from_is_refused(words_scorer, few, few_csv):
    def table(frame, **changes):
        return type(few)(frame.assign(**changes), few.source, few.checksum)

    with pytest.raises(InputError, match="knows prompt 'a' already; it scores a, b.*`prompt_id`"):
        adapt_scorer(words_scorer, table(few.frame, prompt_id="a"))
    with pytest.raises(InputError, match="prompt 'ships' has 4 scored essays; at least 5 are needed"):
        adapt_scorer(words_scorer, table(few.frame.head(4)))
    with pytest.raises(InputError, match="all 20 essays of prompt 'ships' have the score 2"):
        adapt_scorer(words_scorer, table(few.frame, score=2.0))
    with pytest.raises(InputError, match="does not say from where to where .*`score_ranges`"):
        load_own_table(few_csv, prompt_id="ships", observe_ranges=False)
    several = few.frame.assign(prompt_id=["one", "two"] * (len(few.frame) // 2))
    several.to_csv(few_csv.with_name("several.csv"), index=False)
    with pytest.raises(InputError, match="one prompt, and the column 'prompt_id' has 2: one, two"):
        load_own_table(few_csv.with_name("several.csv"), prompt_id="ships")
    with pytest.raises(InputError, match="`prompt_id` is blank"):
        load_own_table(few_csv, prompt_id=" ")


# ---- The command


def run(model_dir, few_csv, output_dir, *more):
    adapt.main(
        ["--model", str(model_dir), "--data", str(few_csv), "--prompt-id", "ships", "--score-range", "0:4",
         "--output-dir", str(output_dir), *more]
    )  # fmt: skip


def test_the_command_writes_a_scorer_like_any_other(model_dir, data_dir, few_csv, few, words_scorer, tmp_path, capsys):
    run(model_dir, few_csv, tmp_path / "adapted")
    printed = capsys.readouterr().out
    assert "Prompt ships (0 to 4): 20 essays." in printed and str(tmp_path / "adapted") in printed
    adapted = EssayScorer.from_pretrained(tmp_path / "adapted", "cpu")
    expected, told = adapt_scorer(words_scorer, few)
    essays = list(few.frame["essay"])
    np.testing.assert_array_equal(raw_scores(adapted, essays, "ships"), raw_scores(expected, essays, "ships"))

    record, before = RunRecord.read(tmp_path / "adapted"), RunRecord.read(model_dir)
    assert record.training == before.training and record.num_parameters > before.num_parameters
    [entry] = record.adaptations
    assert entry["source"] == str(few_csv) and entry["model"] == str(model_dir)
    assert entry["prompts"]["ships"]["num_essays"] == told["ships"].num_essays
    assert "added after training: ships (20 essays)" in str(
        render_model_card(tmp_path / "adapted", "user/scorer", None, "mit")
    )

    evaluate.main(["--model", str(tmp_path / "adapted"), "--data", str(data_dir)])
    assert (tmp_path / "adapted" / "evaluation-test" / "evaluation.json").is_file()

    # Once more, from the scorer that was adapted.
    shutil.copy(few_csv, tmp_path / "again.csv")
    adapt.main(["--model", str(tmp_path / "adapted"), "--data", str(tmp_path / "again.csv"), "--prompt-id", "10",
                "--score-range", "0:3", "--output-dir", str(tmp_path / "twice")])  # fmt: skip
    assert list(EssayScorer.from_pretrained(tmp_path / "twice", "cpu").score_ranges) == ["10", "a", "b", "ships"]
    assert len(RunRecord.read(tmp_path / "twice").adaptations) == 2


def test_an_output_that_exists_stays(model_dir, few_csv, tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="exists. Choose another output, or pass --overwrite"):
        run(model_dir, few_csv, tmp_path)
    with pytest.raises(InputError, match="is not what a training run wrote"):
        run(model_dir, few_csv, tmp_path, "--overwrite")
    with pytest.raises(InputError, match="--output-dir is the folder of --model"):
        run(model_dir, few_csv, model_dir, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_misspelled_column_is_named(model_dir, few_csv, tmp_path):
    with pytest.raises(
        InputError, match="no column 'txet'; it has essay, score. Name the right one with --essay-column"
    ):
        run(model_dir, few_csv, tmp_path / "out", "--essay-column", "txet")
    assert not (tmp_path / "out").exists()
