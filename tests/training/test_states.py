"""Training on a frozen encoder's states: read once, kept on disk, the same scores whether kept or read anew."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from helpers import SMALL_ENCODER
from huggingface_hub import cached_assets_path
from transformers import BertConfig, BertModel

import trm_aes.training.states as states_module
from trm_aes.cli import evaluate, states, train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.model.essays_trm import EssayBatch
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training.states import read_with_encoder
from trm_aes.training.states_folder import states_size

SHAPE = ["--hidden-size", "32", "--num-attention-heads", "2", "--intermediate-size", "48", "--learning-rate", "3e-3"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A folder of the test's own."""
    own = partial(cached_assets_path, assets_dir=tmp_path / "assets")
    monkeypatch.setattr("trm_aes.training.states_folder.cached_assets_path", own)
    return tmp_path / "assets"


def reading(data_dir, encoder_dir, output_dir, *more):
    train.main(
        ["--data", str(data_dir), "--output-dir", str(output_dir), "--hardware", "cpu", "--disable-tqdm", "true"]
        + ["--encoder", str(encoder_dir), "--encoder-layers", "2", *SHAPE, "--num-train-epochs", "2", *more]
    )
    return json.loads((output_dir / "run.json").read_text(encoding="utf-8"))


def test_a_scorer_that_reads_is_trained_scores_and_is_recorded(data_dir, encoder_dir, tmp_path, cache, capsys):
    record = reading(data_dir, encoder_dir, tmp_path / "run")
    assert record["run"]["recipe"] == "default" and record["run"]["encoder_layers"] == 2
    assert record["encoder"]["name"] == str(encoder_dir) and record["embeddings"] is None
    scorer = EssayScorer.from_pretrained(tmp_path / "run")
    config = scorer.model.config
    # Where the encoder lay is in the record alone, which is published without paths.
    of_the_model = json.dumps(record["model"]) + (tmp_path / "run" / "config.json").read_text(encoding="utf-8")
    assert encoder_dir.name not in of_the_model
    assert config.encoder.num_hidden_layers == 2 and config.auxiliary_targets == ["rater1", "rater2"]
    # What it said of the validation essays in training, with kept states, is what it says of their texts.
    rows = load_essay_dataset(data_dir).splits["validation"]
    results = scorer.score(rows["essay"], rows["prompt_id"])
    errors = [result.rounded_score - gold for result, gold in zip(results, rows["score"], strict=True)]
    by_prompt = [
        np.sqrt(np.mean([error**2 for error, of in zip(errors, rows["prompt_id"], strict=True) if of == prompt_id]))
        for prompt_id in ("a", "b")
    ]
    assert np.mean(by_prompt) == pytest.approx(record["validation_metrics"]["eval_mean_rmse"], abs=2e-3)
    evaluate.main(["--model", str(tmp_path / "run"), "--data", str(data_dir)])
    # The encoder is as it was.
    weights = scorer.model.model.encoder.transformer.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in _layers(encoder_dir, 2).items())

    size = states_size()
    pieces = sum(len(ids) for split in ("train", "validation") for ids in _pieces(data_dir, split))
    assert pieces * 8 * 2 < size < pieces * 8 * 2 + 1000
    states.main([])
    assert str(cache) in capsys.readouterr().out
    states.main(["--clear"])
    assert states_size() == 0 and "Cleared" in capsys.readouterr().out
    states.main([])


def _layers(encoder_dir, number):
    config = BertConfig.from_pretrained(encoder_dir, num_hidden_layers=number)
    return BertModel.from_pretrained(encoder_dir, config=config, add_pooling_layer=False).state_dict()


def _pieces(data_dir, split):
    rows = load_essay_dataset(data_dir).splits[split]
    for ids, segments in zip(rows["input_ids"], rows["token_type_ids"], strict=True):
        yield [token for token, segment in zip(ids, segments, strict=True) if segment == 1][:-1]


def _encoder(data_dir, encoder_dir, tmp_path):
    from trm_aes.training.arguments import RunArguments
    from trm_aes.training.recipe import resolve_plan
    from trm_aes.training.untrained import Pretrained, build_model

    data = load_essay_dataset(data_dir)
    run = RunArguments(data=str(data_dir), hardware="cpu", encoder=str(encoder_dir), encoder_layers=2)
    plan = resolve_plan(run, {}, {"output_dir": str(tmp_path / "none")})
    return build_model(plan, data, data.load_tokenizer(), Pretrained.find(plan)).model.encoder, data


def test_an_interrupted_reading_goes_on_and_nothing_is_read_twice(data_dir, encoder_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(states_module, "SHARD_SIZE", 10)
    encoder, data = _encoder(data_dir, encoder_dir, tmp_path)
    rows, collate, device = data.splits["train"], EssayCollator(data.load_tokenizer()), torch.device("cpu")
    read_part, parts = states_module._read_part, []

    def stop_at_the_third(*args):
        parts.append(args)
        if len(parts) == 3:
            raise KeyboardInterrupt
        return read_part(*args)

    monkeypatch.setattr(states_module, "_read_part", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        read_with_encoder(encoder, rows, collate, device, "Reading")
    found = read_with_encoder(encoder, rows, collate, device, "Reading")
    # 36 essays: two parts before the interruption, the third and the fourth after it.
    assert len(parts) == 5 and len(found) == len(rows) == 36
    assert len(read_with_encoder(encoder, rows, collate, device, "Reading")) == 36 and len(parts) == 5
    for place in (0, 9, 10, 35):
        row = collate(rows.select([place]).select_columns(["input_ids", "token_type_ids"]).to_list())
        with torch.no_grad():
            expected = encoder.read(EssayBatch.from_tensors(**row))[0]
        assert found[place].dtype == np.float16
        torch.testing.assert_close(torch.tensor(found[place]).float(), expected, atol=2e-3, rtol=0)
    with pytest.raises(IndexError):
        found[36]


def test_processes_share_the_parts_by_their_places(data_dir, encoder_dir, tmp_path, monkeypatch):
    """Whatever another process has written before this one looks, so that no part is left to nobody."""
    monkeypatch.setattr(states_module, "SHARD_SIZE", 10)
    encoder, data = _encoder(data_dir, encoder_dir, tmp_path)
    rows, collate, device = data.splits["train"], EssayCollator(data.load_tokenizer()), torch.device("cpu")
    write, written = states_module._write, []

    def write_and_count(file, states):
        written.append(len(states))
        write(file, states)

    def wait(self):
        raise TimeoutError  # One process of these tests does not wait for the other.

    monkeypatch.setattr(states_module, "_write", write_and_count)
    monkeypatch.setattr(states_module.PartialState, "wait_for_everyone", wait)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for rank, parts in (("0", 2), ("1", 4)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        with pytest.raises(TimeoutError):
            read_with_encoder(encoder, rows, collate, device, "Reading")
        assert len(written) == parts
    # With nothing left to read a process waits as well: all must come to the same place.
    with pytest.raises(TimeoutError):
        read_with_encoder(encoder, rows, collate, device, "Reading")
    assert len(written) == 4


def test_essays_that_halt_leave_the_kept_states_too(data_dir, encoder_dir, tmp_path):
    record = reading(data_dir, encoder_dir, tmp_path / "model", "--num-supervision-steps", "3", "--halt-at-inference",
                     "true", "--halting-threshold", "0.001")  # fmt: skip
    assert record["exit_rule"] is not None


def test_an_encoder_that_is_trained_changes_and_keeps_nothing(data_dir, encoder_dir, tmp_path):
    record = reading(data_dir, encoder_dir, tmp_path / "run", "--freeze-encoder", "false")
    assert states_size() == 0
    model = EssayScorer.from_pretrained(tmp_path / "run").model
    closed = [*model.lexical_head.parameters(), *model.passage_check.parameters()]
    frozen = sum(weight.numel() for weight in closed)
    assert record["num_trained_parameters"] == record["num_parameters"] - frozen
    weights = model.model.encoder.transformer.state_dict()
    assert not any(
        torch.equal(weights[name], value) for name, value in _layers(encoder_dir, 2).items() if "query" in name
    )
    # States that move are not in the head that was solved before training.
    assert not model.lexical_head.states.weight.any()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--encoder-layers", "4"], "--encoder-layers 4: .* has 3 layers"),
        (["--encoder", "no-such/encoder"], "is no folder, is not in the Hub's cache"),
        (["--auxiliary-columns", "rater1,style"], "--auxiliary-columns: .* has no column 'style'; it has essay_id"),
        (["--auxiliary-columns", "prompt_id"], "column 'prompt_id' of .* does not hold numbers"),
        (
            ["--auxiliary-columns", "rater1", "--auxiliary-loss-weight", "0"],
            "only where --auxiliary-loss-weight is above 0",
        ),
        (["--embeddings", "none"], "Leave --embeddings out"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(data_dir, encoder_dir, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        reading(data_dir, encoder_dir, tmp_path / "run", *more)
    assert not (tmp_path / "run").exists()


def test_another_vocabulary_is_refused(data_dir, encoder_dir, tmp_path):
    tokenizer = load_essay_dataset(data_dir).load_tokenizer()
    tokenizer.add_tokens(["unheard"])
    other = tmp_path / "other"
    shape = {**SMALL_ENCODER, "vocab_size": len(tokenizer)}
    BertModel(BertConfig(**shape)).save_pretrained(other)
    tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match="vocab"):
        reading(data_dir, other, tmp_path / "run")
