"""The package's face: names that are there when asked for, and classes that Transformers knows, in whatever order."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from helpers import ROOT
from packaging.requirements import Requirement

import trm_aes
from trm_aes.errors import DependencyError
from trm_aes.version import MIN_TRANSFORMERS, __version__, check_sharding, check_transformers

# Each comes first in a process of its own.
BEGINNINGS = {
    "transformers, then trm_aes": "import transformers, trm_aes",
    "its auto classes and pipelines, then trm_aes": "from transformers import AutoModel, pipeline\nimport trm_aes",
    "trm_aes, then transformers": "import trm_aes\nimport transformers",
    "a class": "from trm_aes import TRMConfig",
    "the model's module": "from trm_aes.model.modeling_trm import TRMForEssayScoring",
}
SAVE_AND_LOAD = """
import json, pathlib, sys
config = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 10}
from transformers.models.auto.modeling_auto import AutoModelForSequenceClassification
from transformers.models.auto import AutoConfig
import transformers
model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("trm", **config))
model.save_pretrained(sys.argv[1])
loaded = [getattr(transformers, name).from_pretrained(sys.argv[1])
          for name in ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification")]
from transformers.pipelines import PIPELINE_REGISTRY
[task] = [PIPELINE_REGISTRY.check_task("essay-scoring")[1]]
print(json.dumps({
    "classes": [f"{type(each).__module__}.{type(each).__name__}" for each in [model, *loaded]],
    "files": sorted(path.name for path in pathlib.Path(sys.argv[1]).glob("*.py")),
    "auto_map": json.loads(pathlib.Path(sys.argv[1], "config.json").read_text())["auto_map"],
    "pipeline": task["impl"].__name__, "pipeline_model": task["pt"][0].__name__,
}))
"""


def python(program, *arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, timeout=240, **kwargs
    )


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_classes_are_registered_whatever_is_imported_first(tmp_path, beginning):
    run = python(BEGINNINGS[beginning] + SAVE_AND_LOAD, tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    scorer = "trm_aes.model.modeling_trm.TRMForEssayScoring"
    assert found["classes"] == [
        scorer, "trm_aes.model.configuration_trm.TRMConfig", "trm_aes.model.modeling_trm.TRMModel", scorer,
    ]  # fmt: skip
    # Code and auto_map are written, so that the model loads where this package is absent, too.
    assert {"configuration_trm.py", "modeling_trm.py"} <= set(found["files"])
    assert found["auto_map"]["AutoConfig"] == "configuration_trm.TRMConfig"
    assert found["auto_map"]["AutoModelForSequenceClassification"] == "modeling_trm.TRMForEssayScoring"
    assert (found["pipeline"], found["pipeline_model"]) == (
        "EssayScoringPipeline", "AutoModelForSequenceClassification",
    )  # fmt: skip


def test_the_pipeline_is_found_by_its_name(model_dir):
    run = python(
        # A folder's own code is run only if trusted, and this is about the code that is installed: so a model is given.
        "import json, sys, trm_aes\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline\n"
        "model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "scorer = pipeline('essay-scoring', model=model, tokenizer=tokenizer)\n"
        "print(json.dumps(scorer({'essay': 'This is excellent.', 'prompt_id': 'a'})))",
        model_dir,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout.splitlines()[-1])["prompt_id"] == "a"


def test_importing_the_package_imports_neither_torch_nor_transformers():
    program = (
        "import sys, trm_aes\nprint(trm_aes.__version__, [n for n in ('torch', 'transformers') if n in sys.modules])"
    )
    run = python(program)
    assert run.stdout.split() == [__version__, "[]"], run.stderr


@pytest.mark.parametrize("name", trm_aes.__all__)
def test_every_name_is_there(name):
    assert getattr(trm_aes, name) is not None and name in dir(trm_aes)
    assert name in vars(trm_aes)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'TRMForPoetry'"):
        _ = trm_aes.TRMForPoetry


def test_names_that_were_documented_before():
    from trm_aes.scorer import EssayScore, EssayScorer

    assert EssayScorer is trm_aes.EssayScorer and EssayScore is trm_aes.EssayScore


def test_the_lowest_transformers_is_said_once():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    [requirement] = [Requirement(line) for line in lines if line.startswith("transformers")]
    assert str(requirement.specifier) == f">={MIN_TRANSFORMERS}"


@pytest.mark.parametrize(
    "found", [MIN_TRANSFORMERS, f"{MIN_TRANSFORMERS}rc1", f"{MIN_TRANSFORMERS}.0.dev0", "5.23rc1", "6"]
)
def test_versions_that_are_new_enough(monkeypatch, found):
    monkeypatch.setattr("importlib.metadata.version", lambda package: found)
    check_transformers()


@pytest.mark.parametrize("found", ["4.57.3", "5.5rc1", "5.5.4.post1", "5"])
def test_versions_that_are_too_old(monkeypatch, found):
    monkeypatch.setattr("importlib.metadata.version", lambda package: found)
    with pytest.raises(DependencyError, match=f"version {found} is installed"):
        check_transformers()


@pytest.mark.parametrize("check", [check_transformers, check_sharding])
def test_a_package_that_is_not_installed(monkeypatch, check):
    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(DependencyError, match=r"needs transformers \S+ or later, and none is installed: pip install"):
        check()


@pytest.fixture
def old_transformers(tmp_path):
    """A folder to put on the path: Transformers 4.57, which has auto classes and lacks names that we need."""
    package = tmp_path / "transformers"
    (package / "models" / "auto").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "__version__ = '4.57.3'\n"
        "from .models.auto.configuration_auto import AutoConfig\n"
        "class AutoTokenizer: ...\nclass PreTrainedTokenizerBase: ...\nclass TrainingArguments: ...\n",
        encoding="utf-8",
    )
    (package / "models" / "__init__.py").touch()
    (package / "models" / "auto" / "__init__.py").touch()
    (package / "models" / "auto" / "configuration_auto.py").write_text("class AutoConfig: ...\n", encoding="utf-8")
    (package / "training_args.py").write_text(
        "class TrainingArguments:\n    resume_from_checkpoint: str | None = None\n", encoding="utf-8"
    )
    metadata = tmp_path / "transformers-4.57.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 4.57.3\n", encoding="utf-8")
    return tmp_path


NEEDED = f"trm-aes needs transformers {MIN_TRANSFORMERS} or later, and version 4.57.3 is installed: pip install"


@pytest.mark.parametrize(
    "use",
    [
        "import trm_aes; trm_aes.TRMConfig",
        "from trm_aes import EssayScorer",
        "import trm_aes; from transformers import AutoConfig",
        "from trm_aes.model.modeling_trm import TRMModel",
    ],
)
def test_an_old_transformers_is_one_sentence(old_transformers, use):
    run = python(f"import sys; sys.path.insert(0, sys.argv[1])\n{use}", old_transformers)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(f"trm_aes.errors.DependencyError: {NEEDED}")


@pytest.mark.parametrize(
    "command", [["build", "--source", "demo", "--output-dir", "d"], ["train", "--data", "d", "--output-dir", "m"]]
)
def test_an_old_transformers_through_the_command_line(old_transformers, command, tmp_path):
    (tmp_path / "d").mkdir()
    if command[0] == "train":
        (tmp_path / "d" / "dataset_card.json").write_text("{}", encoding="utf-8")
    program = "import sys; sys.path.insert(0, sys.argv.pop(1))\nfrom trm_aes.cli.main import main; sys.exit(main())"
    run = python(program, old_transformers, *command, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith(f"trm-aes: error: {NEEDED}") and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["encoder_trm", "layers_trm"])
def test_a_part_of_the_model_may_be_imported_first(module):
    """Both import Transformers' auto classes, whose import imports the whole model."""
    run = python(
        f"import trm_aes.model.{module}\n"
        "from transformers import AutoConfig, AutoModelForSequenceClassification\n"
        "from trm_aes import TRMConfig\n"
        "assert isinstance(AutoConfig.for_model('trm'), TRMConfig)\n"
        "assert TRMConfig in AutoModelForSequenceClassification._model_mapping"
    )
    assert run.returncode == 0, run.stderr[-2000:]
