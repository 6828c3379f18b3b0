"""LoRA adapters on the shared layers: trained by the stock Trainer, merged into ordinary weights."""

import pytest
import torch
from helpers import essay_batch, registered_model, small_model
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainingArguments


class Essays(torch.utils.data.Dataset):
    """Eight essays of one length; their score is the share of a word."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        batch = essay_batch([10], seed=index)
        return {**{name: tensor[0] for name, tensor in batch.items()}, "labels": torch.tensor(index / 7)}


@pytest.mark.parametrize("make", [small_model, registered_model], ids=["tokens", "latents"])
def test_lora_on_the_shared_layers_trains_and_merges(make, tmp_path):
    # Without the halting loss: its head is not trained here, and the better the score the more it is wrong.
    base = make(halting_loss_weight=0.0)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    lora = LoraConfig(
        r=2, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"], modules_to_save=["score_head"]
    )
    model = get_peft_model(base, lora)
    args = TrainingArguments(
        str(tmp_path), learning_rate=0.01, max_steps=40, per_device_train_batch_size=8, report_to="none", use_cpu=True,
        save_strategy="no", disable_tqdm=True, remove_unused_columns=False, label_names=["labels"],
    )  # fmt: skip
    losses = []
    trainer = Trainer(model, args, train_dataset=Essays())
    with torch.no_grad():
        batch = next(iter(trainer.get_train_dataloader()))
        losses.append(model.eval()(**batch).loss.item())
    trainer.train()
    with torch.no_grad():
        losses.append(model.eval()(**batch).loss.item())
        adapted = model(**batch).logits
    assert losses[1] < 0.9 * losses[0]

    merged = model.merge_and_unload().eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(**batch).logits, adapted, atol=1e-4, rtol=1e-4)
    after = merged.state_dict()
    assert after.keys() == before.keys()
    name = "model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(after[name], before[name])
    # What no adapter touches is as it was.
    for untouched in ("model.embeddings.word_embeddings.weight", "halt_head.weight"):
        assert torch.equal(after[untouched], before[untouched])
