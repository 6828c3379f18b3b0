"""The model card of a trained scorer: `model_card.md`, filled in with what its run and its evaluation recorded."""

from importlib import resources
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig

from ..data.schema import sort_prompt_ids
from ..data.sources.asap import CORPUS as ASAP
from ..data.sources.demo import DEMO_CORPUS
from ..errors import InputError
from ..files import read_json
from ..records import EVALUATION_NAME, RUN_RECORD_NAME

TEMPLATE = "model_card.md"
DEFAULT_LICENSE = "apache-2.0"
TAGS = ["automated-essay-scoring", "essay-scoring", "tiny-recursive-model", "trm", "regression"]
SHOWN_PROMPT_LETTERS = 200


def render_model_card(folder: Path, repo_id: str, evaluation_file: Path | None, license: str) -> ModelCard:
    """
    The card of a scorer that `trm-aes train` wrote; every figure in it comes from the files given.

    Args:
        folder: the scorer's: its `run.json` and `config.json`.
        repo_id: where it will stand on the Hub, for the example and the name.
        evaluation_file: what `trm-aes evaluate` wrote about it, if anything.
        license: of the weights, by the Hub's name for it.

    Raises:
        InputError: if a file is missing or is not what the programs write.
    """
    run = read_json(folder / RUN_RECORD_NAME)
    evaluation = read_json(evaluation_file) if evaluation_file else None
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    try:
        fields = _fields(run, evaluation, config)
        title = repo_id.rsplit("/", 1)[-1]
        data = _metadata(run, evaluation, fields, title, license)
    except KeyError as error:
        raise InputError(
            f"{folder}: run.json or the evaluation lacks {error}: an earlier version wrote it. Train and evaluate again."
        ) from None
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return ModelCard.from_template(data, template_str=template, repo_id=repo_id, title=title, **fields)


def find_evaluation(folder: Path, evaluation_dir: Path | None = None) -> Path | None:
    """
    The evaluation's file: of the given folder, or of the test split's beside the model; None where nothing is given and
    there is none.

    Raises:
        InputError: if a folder is given that holds none.
    """
    file = (evaluation_dir or folder / "evaluation-test") / EVALUATION_NAME
    if file.is_file():
        return file
    if evaluation_dir is not None:
        raise InputError(
            f"--evaluation {evaluation_dir} holds no {EVALUATION_NAME}: `trm-aes evaluate` did not write it."
        )
    return None


def _metadata(run: dict, evaluation: dict | None, fields: dict, title: str, license: str) -> ModelCardData:
    """What the Hub indexes; the results as a model-index, a data set for each prompt."""
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Automated essay scoring",
            dataset_type=fields["data"]["name"],
            dataset_name=f"{fields['data']['name']}, prompt {row['prompt_id']}",
            dataset_config=f"prompt {row['prompt_id']}",
            dataset_split=evaluation["split"],
            metric_type="quadratic_weighted_kappa",
            metric_name="QWK",
            metric_value=round(row["qwk"], 4),
        )
        for row in (fields["evaluation"]["rows"] if evaluation else [])
    ]
    return ModelCardData(
        language="en",
        license=license,
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=(run["embeddings"] or {}).get("hub_id"),
        datasets=fields["data"]["hub_ids"] or None,
        tags=TAGS,
        metrics=["quadratic_weighted_kappa"],
        model_name=title,
        eval_results=results or None,
    )


def _fields(run: dict, evaluation: dict | None, config) -> dict:
    """What the template asks for."""
    training = run["training"]
    processes = run["machine"]["processes"]
    return {
        "run": run["run"],
        "training": training,
        "config": config,
        "versions": run["packages"],
        "machine": run["machine"],
        "seed": run["seed"],
        "seconds": run["seconds"],
        "num_parameters": run["num_parameters"],
        "num_trained_parameters": run["num_trained_parameters"],
        "batch_size": training["per_device_train_batch_size"] * training["gradient_accumulation_steps"] * processes,
        "max_tokens": run["data"]["token_limits"]["max_tokens"],
        "embeddings": _embeddings(run["embeddings"]),
        "calibrated": run["calibration"] is not None,
        "validation_qwk": run["validation_metrics"].get("eval_mean_qwk"),
        "prompts": _prompts(config),
        "data": _data(run["data"]),
        "evaluation": _evaluation(evaluation),
    }


def _prompts(config) -> list[dict]:
    prompts = []
    for prompt_id in sort_prompt_ids(config.score_ranges):
        low, high = config.score_ranges[prompt_id]
        # One line of a table.
        text = " ".join((config.prompt_texts or {}).get(prompt_id, "").replace("|", "/").split())
        if len(text) > SHOWN_PROMPT_LETTERS:
            text = text[:SHOWN_PROMPT_LETTERS].rsplit(" ", 1)[0] + " …"
        prompts.append({"prompt_id": prompt_id, "min_score": f"{low:g}", "max_score": f"{high:g}", "text": text})
    return prompts


def _embeddings(recorded: dict | None) -> str | None:
    if recorded is None:
        return None
    # Of a path on someone's machine, the last name is all that matters to others.
    return recorded["hub_id"] or Path(recorded["name"]).name


def _data(data: dict) -> dict:
    source, corpus = data["source"], data["corpus"]
    hub_ids = source.removeprefix("Hub: ").split(", ") if source.startswith("Hub: ") else []
    name = corpus or Path(source).name
    return {**data, "name": name, "hub_ids": hub_ids, "is_demo": corpus == DEMO_CORPUS, "is_asap": corpus == ASAP}


def _evaluation(evaluation: dict | None) -> dict | None:
    if evaluation is None:
        return None
    rows = [
        {"prompt_id": prompt_id, **metrics, "rater_qwk": evaluation["rater_qwk"].get(prompt_id)}
        for prompt_id, metrics in evaluation["by_prompt"].items()
    ]
    return {
        "split": evaluation["split"],
        "rows": rows,
        "mean_qwk": evaluation["means"]["mean_qwk"],
        "constant_mean_qwk": evaluation["constant_mean_qwk"],
    }
