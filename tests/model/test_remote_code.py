"""A saved scorer where this package is absent: fresh processes in which `trm_aes` cannot be imported."""

import ast
import json

import pytest
import torch
from helpers import MODEL_CODE, ROOT, run_without_package, small_model
from safetensors import safe_open

from trm_aes.scoring.scorer import EssayScorer

ESSAYS = ["This essay is excellent excellent excellent.", "Bad bad bad."]

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
    # The model's own files of code, and no weights in a format that can run code.
    assert sorted(path.name for path in folder.glob("*.py")) == MODEL_CODE
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


MODEL_FILES = sorted(path for path in (ROOT / "trm_aes" / "model").glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.stem)
def test_what_travels_imports_only_its_siblings(path):
    """Transformers copies `from .sibling import …` and nothing else: no sub-packages, no `from . import`, none of ours."""
    siblings = {file.stem for file in MODEL_FILES}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 or (node.level == 1 and node.module in siblings), ast.unparse(node)
            assert not (node.level == 0 and node.module.split(".")[0] == "trm_aes"), ast.unparse(node)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] == "trm_aes" for alias in node.names), ast.unparse(node)


def test_a_scorers_folder_holds_exactly_the_files_of_the_models_folder(model_dir):
    assert sorted(path.name for path in model_dir.glob("*.py")) == [path.name for path in MODEL_FILES]


def _siblings(module):
    """The modules of the model's folder that a module of it imports itself."""
    tree = ast.parse((ROOT / "trm_aes" / "model" / f"{module}.py").read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}


@pytest.mark.parametrize("entry", ["configuration_trm", "modeling_trm", "pipeline_trm"])
def test_what_is_loaded_by_its_name_imports_itself_all_that_it_needs(entry):
    """Transformers 5.4 copies the files that such a module names, and not those that these name in turn."""
    needed, waiting = set(), [entry]
    while waiting:
        found = _siblings(waiting.pop()) - needed
        needed |= found
        waiting += found
    assert needed - {entry} == _siblings(entry) - {entry}
