"""The model card of a trained scorer: `model_card.md`, filled in with what its run, its evaluation and its report say."""

import logging
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig, PreTrainedConfig

from ..checkpoints import quietly
from ..data.sources.asap import CORPUS as ASAP
from ..data.sources.demo import DEMO_CORPUS
from ..errors import InputError, explained
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..presets import is_recipe_file
from ..records import EVALUATION_NAME, REPORT_NAME, DataRecord, EvaluationRecord, PretrainedRecord, RunRecord
from ..report.files import PAGE_NAME, read_report
from ..report.formats import flag_value
from ..report.record import Report
from ..scoring.scorer import DTYPES, EssayScorer
from ..version import MIN_TRANSFORMERS_WITHOUT_PACKAGE
from .privacy import published_report

TEMPLATE = "model_card.md"
DEFAULT_LICENSE = "apache-2.0"
TAGS = ["automated-essay-scoring", "essay-scoring", "tiny-recursive-model", "trm", "regression"]
SHOWN_PROMPT_LETTERS = 200
OF_OTHER_WEIGHTS = "%s is left out: it was made with other weights than %s has now. Run `%s --overwrite` for these."

logger = logging.getLogger(__name__)


def render_model_card(
    folder: Path, repo_id: str, evaluation_file: Path | None, license: str, report_dir: Path | None = None
) -> ModelCard:
    """
    The card of a scorer that `trm-aes train` wrote; every figure in it comes from the files given.

    Args:
        folder: the scorer's: its `run.json` and `config.json`.
        repo_id: where it will stand on the Hub, for the example and the name.
        evaluation_file: what `trm-aes evaluate` wrote about it, if anything.
        license: of the weights, by the Hub's name for it.
        report_dir: folder that `trm-aes report` wrote about it, if any.

    Raises:
        InputError: if a file is missing or is not what the programs write.
    """
    run = RunRecord.read(folder)
    evaluation = EvaluationRecord.read(evaluation_file.parent) if evaluation_file else None
    with explained(f"The configuration of {folder} cannot be read"), quietly():
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    title = repo_id.rsplit("/", 1)[-1]
    data = _describe_data(run.data)
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return ModelCard.from_template(
        _metadata(run, evaluation, data, title, license),
        template_str=template,
        repo_id=repo_id,
        title=title,
        min_transformers=MIN_TRANSFORMERS_WITHOUT_PACKAGE,
        run=run,
        recipe=_describe_recipe(run.run["recipe"]),
        config=config,
        max_tokens=run.data.token_limits["max_tokens"],
        embeddings=_name_checkpoint(run.embeddings),
        encoder=_name_checkpoint(run.encoder),
        prompts=_prompt_rows(config),
        data=data,
        added=_describe_added(run),
        evaluation=evaluation,
        is_held_out=evaluation is not None and evaluation.split == "test" and _is_on_data_of(run, evaluation),
        evaluated_data=_data_of(run, evaluation, data["name"]) if evaluation else None,
        evaluated_prompts=_evaluation_rows(evaluation),
        traits=_trait_rows(config),
        trait_results=_trait_results(evaluation),
        report=_describe_report(published_report(read_report(report_dir)), report_dir.name) if report_dir else None,
    )


def find_evaluation(folder: Path, evaluation_dir: Path | None = None) -> Path | None:
    """
    The evaluation's file: of the given folder, or of the test split's beside the model; None where nothing is given and
    there is none of this scorer.

    Raises:
        InputError: if a folder is given that holds none, or one of another scorer.
    """
    file = (evaluation_dir or folder / "evaluation-test") / EVALUATION_NAME
    if not file.is_file():
        if evaluation_dir is None:
            return None
        raise InputError(
            f"`evaluation_dir` {evaluation_dir} holds no {EVALUATION_NAME}: `trm-aes evaluate` did not write it."
        )
    if _is_of(folder, EvaluationRecord.read(file.parent).checksums.get("weights_sha256")):
        return file
    if evaluation_dir is not None:
        raise InputError(
            f"`evaluation_dir` {evaluation_dir} is of another scorer than {folder}, or of this one before it was trained "
            "further: their weights differ. Evaluate it anew."
        )
    logger.warning(OF_OTHER_WEIGHTS, file.parent, folder, "trm-aes evaluate")
    return None


def find_report(folder: Path) -> Path | None:
    """The folder of the report on the test split that lies beside the model; None where there is none of this scorer."""
    found = folder / "report-test"
    if not (found / REPORT_NAME).is_file():
        return None
    if _is_of(folder, read_report(found).subject.weights_sha256):
        return found
    logger.warning(OF_OTHER_WEIGHTS, found, folder, "trm-aes report")
    return None


def _is_of(folder: Path, weights_sha256: str | None) -> bool:
    """
    Whether the scorer in a folder has these weights, whatever they were measured in. Records of earlier versions do not tell:
    they count as its own.
    """
    return weights_sha256 is None or any(
        EssayScorer.from_pretrained(folder, "cpu", dtype=dtype).checksums()["weights_sha256"] == weights_sha256
        for dtype in DTYPES
    )


def _metadata(
    run: RunRecord, evaluation: EvaluationRecord | None, data: dict[str, Any], title: str, license: str
) -> ModelCardData:
    """What the Hub indexes; the results as a model-index, a data set for each prompt, with the score's QWK and its traits'."""
    results = _results(evaluation, _data_of(run, evaluation, data["name"])) if evaluation else []
    return ModelCardData(
        language="en",
        license=license,
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=next((found.hub_id for found in (run.encoder, run.embeddings) if found is not None), None),
        datasets=data["hub_ids"] or None,
        tags=TAGS,
        metrics=["quadratic_weighted_kappa"],
        model_name=title,
        eval_results=results or None,
    )


def _is_on_data_of(run: RunRecord, evaluation: EvaluationRecord) -> bool:
    """Whether an evaluation is on a split of the data set that the scorer was trained on."""
    told = ("source_sha256",) if run.data.essays_sha256 is None else ("source_sha256", "essays_sha256")
    return all(evaluation.data.get(name) == getattr(run.data, name) for name in told)


def _data_of(run: RunRecord, evaluation: EvaluationRecord, own: str) -> str:
    """The name of what a scorer was evaluated on, where `own` is that of what it was trained on."""
    source = evaluation.data.get("source")
    return own if source is None or _is_on_data_of(run, evaluation) else Path(source).name


def _results(evaluation: EvaluationRecord, data_name: str) -> list[EvalResult]:
    measured = [("QWK", prompt_id, metrics) for prompt_id, metrics in evaluation.by_prompt.items()]
    for trait, by_prompt in evaluation.traits.by_trait.items() if evaluation.traits else ():
        measured += [(f"QWK, {trait}", prompt_id, metrics) for prompt_id, metrics in by_prompt.items()]
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Automated essay scoring",
            dataset_type=data_name,
            dataset_name=f"{data_name}, prompt {prompt_id}",
            dataset_config=f"prompt {prompt_id}",
            dataset_split=evaluation.split,
            metric_type="quadratic_weighted_kappa",
            metric_name=name,
            metric_value=round(metrics["qwk"], 4),
        )
        for name, prompt_id, metrics in measured
    ]


def _trait_rows(config: PreTrainedConfig) -> list[dict[str, str]]:
    """`trait` and its `scales`, prompts of one scale together: `1 to 6 (1, 2); 0 to 3 (3)`."""
    rows = []
    for trait, ranges in (config.traits or {}).items():
        by_scale: dict[str, list[str]] = {}
        for prompt_id, values in ranges.items():
            by_scale.setdefault(str(ScoreRange.from_list(values)), []).append(prompt_id)
        scales = "; ".join(f"{scale} ({', '.join(prompt_ids)})" for scale, prompt_ids in by_scale.items())
        rows.append({"trait": _one_cell(trait), "scales": _one_cell(scales)})
    return rows


def _trait_results(evaluation: EvaluationRecord | None) -> dict[str, Any] | None:
    """QWK of traits, a row of cells each, under the prompts that have any."""
    if evaluation is None or evaluation.traits is None:
        return None
    traits = evaluation.traits
    prompt_ids = sort_prompt_ids(prompt_id for by_prompt in traits.by_trait.values() for prompt_id in by_prompt)
    rows = []
    for trait, by_prompt in traits.by_trait.items():
        cells = [f"{by_prompt[prompt_id]['qwk']:.3f}" if prompt_id in by_prompt else "" for prompt_id in prompt_ids]
        rows.append([_one_cell(trait), *cells, f"{traits.mean_qwk_by_trait[trait]:.3f}"])
    return {
        "header": ["trait", *map(_one_cell, prompt_ids), "mean"],
        "rows": rows,
        "mean_qwk": traits.mean_qwk,
        "mean_qwk_of_pairs": traits.mean_qwk_of_pairs,
    }


def _prompt_rows(config: PreTrainedConfig) -> list[dict[str, str]]:
    prompts = []
    for prompt_id in sort_prompt_ids(config.score_ranges):
        scale = str(ScoreRange.from_list(config.score_ranges[prompt_id]))
        text = _one_cell((config.prompt_texts or {}).get(prompt_id, ""))
        if len(text) > SHOWN_PROMPT_LETTERS:
            text = text[:SHOWN_PROMPT_LETTERS].rsplit(" ", 1)[0] + " …"
        prompts.append({"prompt_id": prompt_id, "scores": scale, "text": text})
    return prompts


def _describe_added(run: RunRecord) -> str:
    """The prompts that the scorer was told of after its training: `"a (20 essays), b (35 essays)"`; empty without any."""
    told = (prompt for adaptation in run.adaptations for prompt in adaptation["prompts"].items())
    return ", ".join(f"{prompt_id} ({prompt['num_essays']} essays)" for prompt_id, prompt in told)


def _evaluation_rows(evaluation: EvaluationRecord | None) -> list[dict[str, Any]]:
    if evaluation is None:
        return []
    ridge_qwk = evaluation.ridge.qwk if evaluation.ridge else {}
    return [
        {
            "prompt_id": prompt_id,
            **metrics,
            "rater_qwk": evaluation.rater_qwk.get(prompt_id),
            "ridge_qwk": ridge_qwk.get(prompt_id),
        }
        for prompt_id, metrics in evaluation.by_prompt.items()
    ]


def _describe_report(report: Report, folder_name: str) -> dict[str, Any]:
    """What the card takes from a report: sentences, flags that are raised, how many are not, limits."""
    raised = [flag for flag in report.flags if flag.level != "green"]
    return {
        "page": f"{folder_name}/{PAGE_NAME}",
        "split": report.subject.split,
        "sentences": report.sentences,
        "raised": [
            [flag.level, *map(_one_cell, (flag.where, flag.measure, flag_value(flag.value, flag.threshold))),
             flag.threshold, flag.source]
            for flag in raised
        ],
        "num_met": len(report.flags) - len(raised),
        "has_groups": any(column.groups for column in report.fairness),
        "has_attacks": bool(report.robustness),
        "limits": report.limits,
    }  # fmt: skip


def _one_cell(text: str) -> str:
    """Text that a table's cell can hold."""
    return " ".join(text.replace("|", "/").split())


def _describe_recipe(recipe: str) -> str:
    """A preset by its name; of a file on someone's machine, the last name is all that matters to others."""
    return Path(recipe).name if is_recipe_file(recipe) else recipe


def _name_checkpoint(checkpoint: PretrainedRecord | None) -> str | None:
    if checkpoint is None:
        return None
    # As above: no path.
    return checkpoint.hub_id or Path(checkpoint.name).name


def _describe_data(data: DataRecord) -> dict[str, Any]:
    hub_ids = data.source.removeprefix("Hub: ").split(", ") if data.source.startswith("Hub: ") else []
    return {
        "name": data.corpus or Path(data.source).name,
        "source_sha256": data.source_sha256,
        "num_essays": data.num_essays,
        "hub_ids": hub_ids,
        "is_demo": data.corpus == DEMO_CORPUS,
        "is_asap": data.corpus == ASAP,
    }
