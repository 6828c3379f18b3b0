import json
import logging
import time

import pytest
import torch
from helpers import small_model
from huggingface_hub import constants
from safetensors.torch import save_file

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.checkpoints import (
    Checkpoint,
    find_checkpoint,
    load_tokenizer,
    read_word_embeddings,
    vocabulary_checksum,
)
from trm_aes.errors import InputError
from trm_aes.training.fit.embeddings import copy_word_embeddings


def test_the_packaged_fallback_is_announced(caplog):
    with caplog.at_level(logging.WARNING):
        checkpoint = find_checkpoint()
    assert "MiniLM" in checkpoint.name
    [line] = [record.getMessage() for record in caplog.records]
    assert "bert-base-uncased cannot be downloaded (offline mode is set)" in line and "using all-MiniLM-L6-v2" in line


def test_an_unreachable_hub_fails_over_in_seconds(monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Nothing listens there.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    assert "MiniLM" in find_checkpoint().name
    assert time.monotonic() - started < 30
    assert "the Hub cannot be reached" in caplog.text


def test_other_checkpoints_have_no_fallback():
    with pytest.raises(InputError, match="'bert-large-uncased' is no folder.*offline mode"):
        find_checkpoint("bert-large-uncased")


def test_the_fallback_has_berts_vocabulary(tokenizer):
    assert len(tokenizer) == 30522
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the"]) == [0, 100, 101, 102, 1996]


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("freeze", [True, False])
def test_word_embeddings_are_copied(tokenizer, rescale, freeze):
    checkpoint = find_checkpoint()
    model = TRMForEssayScoring(
        TRMConfig(hidden_size=16, embedding_size=384, num_attention_heads=2, intermediate_size=16)
    )
    copy_word_embeddings(model, checkpoint, tokenizer, rescale=rescale, freeze=freeze)
    source, copied = read_word_embeddings(checkpoint), model.get_input_embeddings().weight
    scale = source.square().mean().sqrt() if rescale else 1.0
    torch.testing.assert_close(copied.detach(), source / scale)
    assert copied.requires_grad is not freeze


def test_embeddings_of_another_vocabulary_or_shape_are_refused(tokenizer, tmp_path):
    with pytest.raises(InputError, match="leave `embedding_size` out, or give 384"):
        copy_word_embeddings(small_model(vocab_size=30522), find_checkpoint(), tokenizer)
    # As wide as the model, with rows for more words than there are.
    padded = tmp_path / "padded"
    tokenizer.save_pretrained(padded)
    save_file({"embeddings.word_embeddings.weight": torch.zeros(30528, 16)}, padded / "model.safetensors")
    with pytest.raises(InputError, match="choose other `embeddings`"):
        copy_word_embeddings(small_model(vocab_size=30522), Checkpoint("padded", padded), tokenizer)
    other = load_tokenizer(find_checkpoint())
    other.add_tokens(["zebrafish-quartz"])
    other.save_pretrained(tmp_path)
    assert vocabulary_checksum(other) != vocabulary_checksum(tokenizer)
    save_file({"embeddings.word_embeddings.weight": torch.zeros(30523, 8)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="vocabulary of other is not the tokenizer's"):
        copy_word_embeddings(small_model(), Checkpoint("other", tmp_path), tokenizer)


def test_damaged_checkpoints_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no model.safetensors"):
        read_word_embeddings(Checkpoint("x", tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(InputError, match="damaged or cut short"):
        read_word_embeddings(Checkpoint("x", tmp_path))
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="holds 0 tensors of word embeddings"):
        read_word_embeddings(Checkpoint("x", tmp_path))
    with pytest.raises(InputError, match="No tokenizer can be read"):
        load_tokenizer(tmp_path)


def test_a_download_can_be_pinned(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--user--encoder" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json"):
        (snapshot / name).touch()
    asked = []

    def download(repo_id, revision, **options):
        asked.append(revision)
        return str(snapshot)

    monkeypatch.setattr("trm_aes.checkpoints.snapshot_download", download)
    assert find_checkpoint("user/encoder", "v1").commit == "c0ffee"
    assert find_checkpoint("user/encoder").commit == "c0ffee" and asked == ["v1", None]
    with pytest.raises(InputError, match="`revision` v1: .* is a folder"):
        find_checkpoint(str(tmp_path), "v1")


def test_nothing_takes_the_place_of_a_revision():
    with pytest.raises(InputError, match="`revision` v1 is no folder.*offline"):
        find_checkpoint(revision="v1")


def test_custom_code_is_neither_run_nor_asked_about(tokenizer, tmp_path, monkeypatch):
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    config |= {"auto_map": {"AutoTokenizer": ["code.MyTokenizer", None]}, "tokenizer_class": "MyTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(InputError, match="Code that a folder names is not run"):
        load_tokenizer(tmp_path)
    assert not (tmp_path / "ran").exists()
