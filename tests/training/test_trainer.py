"""Deep supervision in the Trainer against loops written out here."""

import copy
from functools import partial

import pytest
import torch
from helpers import small_model
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from trm_aes.errors import InputError, OutputError, TrainingDivergedError
from trm_aes.training.arguments import TRMTrainingArguments
from trm_aes.training.averaging import WeightAverage
from trm_aes.training.sampler import DeepSupervisionBatchSampler
from trm_aes.training.supervision import MicroBatch
from trm_aes.training.trainer import TRMTrainer


def make_rows(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for index in range(number):
        ids = torch.randint(1, 60, (4 + index % 5,), generator=generator).tolist()
        rows.append({"input_ids": ids, "label": float(torch.rand(1, generator=generator)), "index": index})
    return rows


def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    pad = [longest - len(row["input_ids"]) for row in rows]
    return {
        "input_ids": torch.tensor([row["input_ids"] + [0] * p for row, p in zip(rows, pad, strict=True)]),
        "attention_mask": torch.tensor([[1] * (longest - p) + [0] * p for p in pad]),
        "labels": torch.tensor([row["label"] for row in rows]),
    }


def arguments(tmp_path, **changes):
    settings = {
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "optim": "sgd",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "ema_decay": 0.0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_total_limit": None,
        "load_best_model_at_end": False,
        "disable_tqdm": True,
        "halt_exploration_prob": 0.0,
        "dataloader_pin_memory": False,
        "seed": 5,
    }
    return TRMTrainingArguments(**{**settings, **changes})


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def assert_same_weights(model, expected, **tolerance):
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach(), expected[name], msg=lambda m, n=name: f"{n}: {m}", **tolerance)


def by_hand(model, rows, batch_size, steps, lr=1e-2, seed=5):
    """Deep supervision as published, one essay batch after another: a loss and an SGD step for every supervision step."""
    for indices in DeepSupervisionBatchSampler(len(rows), batch_size, 1, seed=seed):
        batch = collate([rows[index] for index in indices])
        carry = None
        for _ in range(steps):
            outputs = model(**batch, carry=carry, num_supervision_steps=1)
            carry = outputs.carry
            model.zero_grad()
            outputs.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            with torch.no_grad():
                for weight in model.parameters():
                    weight -= lr * weight.grad


def test_each_supervision_step_is_an_optimizer_step_on_the_same_essays(tmp_path):
    model, rows = small_model(num_supervision_steps=3), make_rows(10)
    expected = copy.deepcopy(model)
    by_hand(expected, rows, 4, steps=3)
    trainer = TRMTrainer(model=model, args=arguments(tmp_path), train_dataset=rows, data_collator=collate)
    trainer.train()
    # 3 batches (4, 4 and 2 essays) of 3 steps.
    assert trainer.state.global_step == 9
    assert_same_weights(model, weights(expected), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rows", [16, 10])
def test_gradient_accumulation_equals_the_whole_batch(tmp_path, rows):
    rows = make_rows(rows)
    whole = small_model(num_supervision_steps=2)
    parts = copy.deepcopy(whole)
    TRMTrainer(whole, arguments(tmp_path), train_dataset=rows, data_collator=collate).train()
    accumulating = arguments(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    trainer = TRMTrainer(parts, accumulating, train_dataset=rows, data_collator=collate)
    trainer.train()
    assert trainer.state.global_step == 2 * -(-len(rows) // 4)
    assert_same_weights(parts, weights(whole), atol=1e-6, rtol=1e-5)


def test_the_carry_stays_with_its_essays(tmp_path, monkeypatch):
    model, rows = small_model(num_supervision_steps=2), make_rows(8)
    seen = []
    forward = type(model).forward

    def spy(self, *args, carry=None, **kwargs):
        outputs = forward(self, *args, carry=carry, **kwargs)
        seen.append((kwargs["input_ids"], carry, outputs.carry))
        return outputs

    monkeypatch.setattr(type(model), "forward", spy)
    TRMTrainer(model, arguments(tmp_path), train_dataset=rows, data_collator=collate).train()
    for (first_ids, first_carry, handed_on), (second_ids, second_carry, _) in zip(seen[::2], seen[1::2], strict=True):
        assert first_carry is None
        assert torch.equal(first_ids, second_ids)
        assert torch.equal(second_carry, handed_on)
        assert not second_carry.requires_grad
    assert not torch.equal(seen[0][0], seen[2][0])


def test_halted_essays_leave_training(tmp_path, monkeypatch):
    model, rows = small_model(num_supervision_steps=4), make_rows(8)
    sizes = []
    forward = type(model).forward

    def spy(self, *args, **kwargs):
        outputs = forward(self, *args, **kwargs)
        sizes.append(len(kwargs["input_ids"]))
        # Essays whose first token is odd halt at once, the others never.
        outputs.halt_logits = torch.where(kwargs["input_ids"][:, 0] % 2 == 1, 9.0, -9.0)
        return outputs

    monkeypatch.setattr(type(model), "forward", spy)
    trainer = TRMTrainer(
        model, arguments(tmp_path, per_device_train_batch_size=8), train_dataset=rows, data_collator=collate
    )
    trainer.train()
    even = sum(row["input_ids"][0] % 2 == 0 for row in rows)
    assert 0 < even < 8
    assert sizes == [8, even, even, even]
    # Where all have halted the batch's other steps are not computed, and change nothing.
    sizes.clear()
    everything_halts = [{**row, "input_ids": [1, *row["input_ids"][1:]]} for row in rows]
    other = small_model(num_supervision_steps=4)
    trainer = TRMTrainer(
        other, arguments(tmp_path, per_device_train_batch_size=8), train_dataset=everything_halts, data_collator=collate
    )
    trainer.train()
    assert sizes == [8] and trainer.state.global_step == 4


def test_exploration_keeps_essays_going(tmp_path, monkeypatch):
    model, rows = small_model(num_supervision_steps=4), make_rows(8)
    model.halt_head.bias.data.fill_(50.0)
    sizes = []
    model.model.register_forward_hook(lambda _, __, outputs: sizes.append(len(outputs.last_hidden_state)))
    args = arguments(tmp_path, per_device_train_batch_size=8, halt_exploration_prob=1.0, learning_rate=0.0)
    TRMTrainer(model, args, train_dataset=rows, data_collator=collate).train()
    # All essays must take two steps at least; how many more is drawn, from 2 to 4.
    generator = torch.Generator().manual_seed(args.seed * 1_000_003)
    min_steps = MicroBatch.start(8, 4, 1.0, generator).min_steps
    assert sizes == [int((min_steps > step).sum()) for step in range(4)]
    assert sizes[0] == sizes[1] == 8 > sizes[2] > sizes[3] > 0


def test_the_average_is_bias_corrected_and_starts_without_the_initial_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(100.0)
    average = WeightAverage(layer, decay=0.9)
    for value in (1.0, 2.0, 4.0):
        layer.weight.data.fill_(value)
        average.update()
    expected = (0.81 * 1 + 0.9 * 2 + 4) / (0.81 + 0.9 + 1)
    with average.applied():
        assert layer.weight.item() == pytest.approx(expected)
    assert layer.weight.item() == 4.0


def test_evaluation_and_the_final_model_use_the_average(tmp_path):
    rows = make_rows(8)
    model = small_model(num_supervision_steps=1)
    trajectory = []
    args = arguments(tmp_path, ema_decay=0.5, num_train_epochs=1)
    trainer = TRMTrainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collate)
    update = WeightAverage.update
    trainer_update = lambda self: (update(self), trajectory.append(weights(model)))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WeightAverage, "update", trainer_update)
        trainer.train()
    assert len(trajectory) == 2
    expected = {name: (0.5 * trajectory[0][name] + trajectory[1][name]) / 1.5 for name in trajectory[0]}
    assert_same_weights(model, expected)


def test_validation_between_steps_takes_all_steps_at_once_and_disturbs_no_carry(tmp_path):
    rows = make_rows(16)
    trained = {}
    for name, changes in (
        ("with", {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": None}),
        ("without", {}),
    ):
        model = small_model(num_supervision_steps=3)
        trainer = TRMTrainer(model, arguments(tmp_path, **changes), train_dataset=rows, eval_dataset=rows[:5],
                             data_collator=collate)  # fmt: skip
        trainer.train()
        trained[name] = weights(model)
    for name, weight in trained["with"].items():
        assert torch.equal(weight, trained["without"][name]), name
    with torch.no_grad():
        expected = model.eval()(**collate(rows[:5])).loss.item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_embeddings_have_a_learning_rate_of_their_own(tmp_path):
    rows = make_rows(4)
    model = small_model(num_supervision_steps=1)
    before = weights(model)
    args = arguments(tmp_path, embedding_learning_rate=0.0, weight_decay=0.1)
    trainer = TRMTrainer(model, args, train_dataset=rows, data_collator=collate)
    trainer.train()
    after = weights(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(before) - {"model.embeddings.word_embeddings.weight"}
    groups = {(group["lr"], group["weight_decay"]) for group in trainer.optimizer.param_groups}
    assert groups == {(0.0, 0.1), (1e-2, 0.1), (1e-2, 0.0)}


@pytest.mark.parametrize("interrupted_at", ["epoch", "steps"])
def test_a_resumed_run_ends_with_equal_weights(tmp_path, interrupted_at):
    rows = make_rows(16)
    changes = {
        "num_train_epochs": 4,
        "optim": "adamw_torch",
        "ema_decay": 0.9,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 2,
        "save_strategy": interrupted_at,
        "save_steps": 6,
        "halt_exploration_prob": 0.5,
    }
    make = partial(small_model, num_supervision_steps=2, hidden_dropout_prob=0.2)

    def trainer_in(folder):
        torch.manual_seed(11)
        return TRMTrainer(make(), arguments(folder, **changes), train_dataset=rows, data_collator=collate)

    whole = trainer_in(tmp_path / "whole")
    whole.train()
    assert whole.state.global_step == 32
    resumed = trainer_in(tmp_path / "resumed")
    checkpoint = tmp_path / "whole" / "out" / ("checkpoint-16" if interrupted_at == "epoch" else "checkpoint-18")
    torch.manual_seed(12345)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    for name, weight in resumed.model.named_parameters():
        assert torch.equal(weight, dict(whole.model.named_parameters())[name]), name
    for mine, theirs in zip(resumed.optimizer.state.values(), whole.optimizer.state.values(), strict=True):
        assert torch.equal(mine["exp_avg_sq"], theirs["exp_avg_sq"])


def test_a_run_with_an_average_is_not_resumed_without_one(tmp_path):
    rows = make_rows(8)
    changes = {"save_strategy": "epoch", "num_train_epochs": 2}
    TRMTrainer(small_model(num_supervision_steps=1), arguments(tmp_path, ema_decay=0.9, **changes), train_dataset=rows,
               data_collator=collate).train()  # fmt: skip
    trainer = TRMTrainer(small_model(num_supervision_steps=1), arguments(tmp_path, **changes), train_dataset=rows,
                         data_collator=collate)  # fmt: skip
    with pytest.raises(InputError, match="`ema_decay` 0: .*checkpoint-2 was trained with a moving average"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))


def test_a_run_cut_in_the_midst_of_a_batch_resumes_in_step_with_its_batches(tmp_path, monkeypatch):
    """Where `max_steps` cuts it, the last checkpoint lies in the midst of a batch. Its carry is lost, but no other is."""
    rows = make_rows(16)
    changes = {"save_strategy": "steps", "save_steps": 3, "max_steps": 4}
    TRMTrainer(small_model(num_supervision_steps=3), arguments(tmp_path, **changes), train_dataset=rows,
               data_collator=collate).train()  # fmt: skip
    model, seen = small_model(num_supervision_steps=3), []
    forward = type(model).forward

    def spy(self, *args, carry=None, **kwargs):
        seen.append((kwargs["input_ids"], carry is None))
        return forward(self, *args, carry=carry, **kwargs)

    monkeypatch.setattr(type(model), "forward", spy)
    trainer = TRMTrainer(model, arguments(tmp_path, **{**changes, "max_steps": 9}), train_dataset=rows,
                         data_collator=collate)  # fmt: skip
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    # Steps 5 and 6 are the rest of the second batch, 7 to 9 the third.
    assert [is_first for _, is_first in seen] == [True, False, True, False, False]
    assert torch.equal(seen[0][0], seen[1][0]) and torch.equal(seen[2][0], seen[4][0])
    assert not torch.equal(seen[1][0], seen[2][0])


def test_a_checkpoint_is_a_whole_scorer_with_the_averaged_weights(tmp_path):
    rows = make_rows(8)
    model = small_model(num_supervision_steps=1)
    args = arguments(tmp_path, ema_decay=0.9, save_strategy="epoch", num_train_epochs=2)
    trainer = TRMTrainer(model, args, train_dataset=rows, data_collator=collate)
    trainer.train()
    loaded = type(model).from_pretrained(tmp_path / "out" / "checkpoint-4")
    assert_same_weights(loaded, weights(model), atol=0, rtol=0)


def test_validation_every_few_epochs(tmp_path):
    rows = make_rows(8)
    args = arguments(tmp_path, eval_strategy="epoch", save_strategy="epoch", eval_every_epochs=2, num_train_epochs=5,
                     metric_for_best_model=None)  # fmt: skip
    trainer = TRMTrainer(small_model(), args, train_dataset=rows, eval_dataset=rows, data_collator=collate)
    trainer.train()
    # The last epoch is validated whatever its number.
    assert [entry["epoch"] for entry in trainer.state.log_history if "eval_loss" in entry] == [2, 4, 5]


def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(tmp_path):
    # An essay of the third batch, which is taken at steps 5 and 6.
    bad = list(DeepSupervisionBatchSampler(16, 4, 2, seed=5))[4][0]
    rows = make_rows(16)
    rows[bad] = {**rows[bad], "label": float("nan")}
    args = arguments(tmp_path, save_strategy="steps", save_steps=2)
    model = small_model(num_supervision_steps=2)
    trainer = TRMTrainer(model, args, train_dataset=rows, data_collator=collate)
    with pytest.raises(TrainingDivergedError, match="loss is nan at step 5\\."):
        trainer.train()
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    checkpoints = sorted(path.parent.name for path in (tmp_path / "out").glob("checkpoint-*/trainer_state.json"))
    assert checkpoints == ["checkpoint-2", "checkpoint-4"]


@pytest.mark.parametrize("logging_steps", [1, 3, 100])
def test_where_losses_are_not_looked_at_each_step_none_that_is_not_finite_is_saved(tmp_path, logging_steps):
    """As on an accelerator, where looking is waiting."""
    bad, num_saved = list(DeepSupervisionBatchSampler(16, 4, 2, seed=5))[4][0], 2
    rows = make_rows(16)
    rows[bad] = {**rows[bad], "label": float("nan")}
    args = arguments(tmp_path, save_strategy="steps", save_steps=2, logging_steps=logging_steps)
    trainer = TRMTrainer(small_model(num_supervision_steps=2), args, train_dataset=rows, data_collator=collate)
    trainer._checks_every_step = False
    with pytest.raises(TrainingDivergedError, match="loss is nan at step"):
        trainer.train()
    saved = list((tmp_path / "out").glob("checkpoint-*/model.safetensors"))
    assert len(saved) == num_saved
    for path in saved:
        assert all(torch.isfinite(weight).all() for weight in load_file(path).values())


def test_memory_of_activations_does_not_grow_with_supervision_steps(tmp_path):
    """What backward passes keep, at most: freed after each step, however many there are."""
    most = []
    for steps in (1, 4):
        kept = {"now": 0, "most": 0}

        class Kept:
            def __init__(self, tensor, kept=kept):
                self.tensor, self.kept = tensor, kept
                kept["now"] += tensor.numel()
                kept["most"] = max(kept["most"], kept["now"])

            def __del__(self):
                self.kept["now"] -= self.tensor.numel()

        model = small_model(num_supervision_steps=steps)
        trainer = TRMTrainer(model, arguments(tmp_path), train_dataset=make_rows(16), data_collator=collate)
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            trainer.train()
        most.append(kept["most"])
    assert most[0] > 1000 and most[1] == pytest.approx(most[0], rel=0.05)


@pytest.mark.parametrize(
    ("error", "said"),
    # Some libraries' errors say nothing.
    [(OSError(28, "No space left on device"), ".*No space left"), (RuntimeError(), r"\(RuntimeError\)")],
    ids=["full disk", "no words"],
)
def test_a_checkpoint_that_cannot_be_written_leaves_no_torso(tmp_path, monkeypatch, error, said):
    args = arguments(tmp_path, save_strategy="epoch", num_train_epochs=2)
    trainer = TRMTrainer(small_model(num_supervision_steps=1), args, train_dataset=make_rows(8), data_collator=collate)
    save = trainer._save_optimizer_and_scheduler

    def full_disk(folder):
        if folder.endswith("-4"):
            raise error
        save(folder)

    monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", full_disk)
    with pytest.raises(OutputError, match=f"checkpoint-4 could not be saved {said}"):
        trainer.train()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint-2"]


def test_arguments_that_deep_supervision_cannot_honor(tmp_path):
    args = arguments(tmp_path, save_strategy="steps", save_steps=3)
    with pytest.raises(InputError, match="multiple of the 2 supervision steps"):
        TRMTrainer(small_model(num_supervision_steps=2), args, train_dataset=make_rows(4), data_collator=collate)
    args = arguments(tmp_path, save_strategy="best", metric_for_best_model="loss", eval_strategy="steps", eval_steps=3)
    with pytest.raises(InputError, match="`eval_steps` 3 would save in the midst of a batch.*or `eval_strategy` epoch"):
        TRMTrainer(small_model(num_supervision_steps=2), args, train_dataset=make_rows(4), data_collator=collate,
                   eval_dataset=make_rows(4))  # fmt: skip
    # A part of all steps: who knows where that is.
    args = arguments(tmp_path, save_strategy="steps", save_steps=0.5)
    with pytest.raises(InputError, match="`save_steps` 0.5"):
        TRMTrainer(small_model(num_supervision_steps=2), args, train_dataset=make_rows(4), data_collator=collate)
    TRMTrainer(small_model(num_supervision_steps=1), args, train_dataset=make_rows(4), data_collator=collate)
    args = arguments(tmp_path)
    args.train_sampling_strategy = "group_by_length"
    with pytest.raises(InputError, match="`train_sampling_strategy` group_by_length"):
        TRMTrainer(small_model(), args, train_dataset=make_rows(4), data_collator=collate)
    for changes in ({"ema_decay": 1.0}, {"halt_exploration_prob": 2.0}, {"eval_every_epochs": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(changes))}`"):
            arguments(tmp_path, **changes)


def test_the_stock_trainer_trains_it_too(tmp_path):
    rows = make_rows(16)
    whole, parts = small_model(), small_model()

    def squared_error(model):
        # Not the whole loss: what the halting head must predict moves as scores get better.
        batch = collate(rows)
        return (model(**batch).logits.squeeze(-1) - batch["labels"]).square().mean().item()

    before = squared_error(whole)
    common = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "num_train_epochs": 8,
        "optim": "sgd",
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "save_strategy": "no",
    }
    args = TrainingArguments(per_device_train_batch_size=8, **common)
    Trainer(whole, args, train_dataset=rows, data_collator=collate).train()
    assert squared_error(whole) < before
    args = TrainingArguments(per_device_train_batch_size=4, gradient_accumulation_steps=2, **common)
    Trainer(parts, args, train_dataset=rows, data_collator=collate).train()
    assert_same_weights(parts, weights(whole), atol=1e-5, rtol=1e-4)


def test_sampler_deals_the_same_groups_to_any_number_of_processes():
    alone = list(DeepSupervisionBatchSampler(21, 8, num_repeats=2, seed=1))
    assert len(alone) == len(DeepSupervisionBatchSampler(21, 8, num_repeats=2, seed=1)) == 6
    assert alone[0] == alone[1] and alone[0] != alone[2]
    assert sorted(alone[0] + alone[2] + alone[4]) == list(range(21))
    shares = [
        list(DeepSupervisionBatchSampler(21, 4, 2, num_processes=2, process_index=index, seed=1)) for index in (0, 1)
    ]
    for together, mine, theirs in zip(alone, *shares, strict=True):
        assert sorted(together) == sorted(mine + theirs)
    sampler = DeepSupervisionBatchSampler(21, 8, 1, seed=1)
    sampler.set_epoch(1)
    assert list(sampler)[0] != alone[0]
