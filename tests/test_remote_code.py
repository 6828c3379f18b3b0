"""A saved scorer where this package is absent: fresh processes in which `trm_aes` cannot be imported."""

import json
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, small_model
from safetensors import safe_open

from trm_aes.scorer import EssayScorer

ESSAYS = ["This essay is excellent excellent excellent.", "Bad bad bad."]

# Runs before the program: whoever asks for the package gets an ImportError.
BLOCKER = """
import importlib.abc, json, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "trm_aes":
            raise ImportError("trm_aes is blocked")
sys.meta_path.insert(0, Blocker())
"""


def run_without_package(program, *arguments, cwd):
    """The JSON that a program prints last, run where `trm_aes` cannot be imported."""
    run = subprocess.run(
        [sys.executable, "-c", BLOCKER + program, *map(str, arguments)],
        # Nobody answers whether remote code is to be trusted.
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd, timeout=240,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


LOAD = """
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer
folder, essays = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(1)
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
base = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
batch = tokenizer(["Write about a."] * len(essays), essays, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**batch).logits.squeeze(-1)
    states = base(**batch).last_hidden_state
    same = torch.equal(states, model.model(**batch).last_hidden_state)
model.save_pretrained(folder + "-again")
again = AutoModelForSequenceClassification.from_pretrained(folder + "-again", trust_remote_code=True).eval()
with torch.no_grad():
    repeated = again(**batch).logits.squeeze(-1)
assert "trm_aes" not in sys.modules
print(json.dumps({"logits": logits.tolist(), "classes": [type(x).__name__ for x in (config, model, base)], "same": same,
                  "repeated": repeated.tolist(), "ranges": config.score_ranges}))
"""


def test_auto_classes_load_what_was_saved(model_dir, tmp_path):
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    folder = tmp_path / "saved"
    scorer.model.save_pretrained(folder)
    scorer.tokenizer.save_pretrained(folder)
    # Exactly the two files of code, copied as they are, and no weights in a format that can run code.
    assert sorted(path.name for path in folder.glob("*.py")) == ["configuration_trm.py", "modeling_trm.py"]
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    found = run_without_package(LOAD, folder, json.dumps(ESSAYS), cwd=tmp_path)
    assert found["classes"] == ["TRMConfig", "TRMForEssayScoring", "TRMModel"]
    assert found["same"] and found["ranges"] == {"a": [0, 3], "b": [1, 4]}
    batch = scorer.tokenizer(["Write about a."] * 2, ESSAYS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = scorer.model(**batch).logits.squeeze(-1).tolist()
    # To the bit, and after being saved again from there.
    assert found["logits"] == expected and found["repeated"] == expected
    assert expected[0] != expected[1]


def test_remote_code_runs_only_if_trusted(model_dir, tmp_path):
    program = """
from transformers import AutoModelForSequenceClassification
try:
    AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
    print(json.dumps("loaded"))
except (ValueError, OSError) as error:
    print("\\n" + json.dumps(str(error)))
"""
    assert "trust_remote_code" in run_without_package(program, model_dir, cwd=tmp_path)


def test_saved_configuration_names_the_classes(tmp_path):
    model = small_model()
    model.save_pretrained(tmp_path / "m", max_shard_size="4KB")
    config = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    assert config["auto_map"] == {
        "AutoConfig": "configuration_trm.TRMConfig",
        "AutoModel": "modeling_trm.TRMModel",
        "AutoModelForSequenceClassification": "modeling_trm.TRMForEssayScoring",
    }
    shards = list((tmp_path / "m").glob("model-*.safetensors"))
    assert len(shards) > 1
    with safe_open(shards[0], framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    loaded = type(model).from_pretrained(tmp_path / "m")
    for (name, first), second in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


@pytest.mark.parametrize("module", ["configuration_trm", "modeling_trm"])
def test_remote_code_imports_nothing_else_of_ours(module):
    source = (ROOT / "trm_aes" / f"{module}.py").read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines() if line.strip().startswith(("from ", "import "))]
    ours = [line for line in lines if line.startswith("from .") or "trm_aes" in line]
    assert ours in ([], ["from .configuration_trm import TRMConfig"])
