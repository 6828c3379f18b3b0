"""`trm-aes evaluate`: measures a scorer on a split of a data set, or on a table of scored essays."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.folder import CARD_NAME, check_is_dataset, essays_checksum
from ..data.formats import check_is_file, file_format, name_without_format
from ..errors import InputError
from ..files import check_is_folder_to_be, new_folder, read_json
from ..records import EVALUATION
from . import own_file
from .input_options import check_input_options
from .options import (
    add_scorer_options,
    add_unknown_prompt_option,
    check_inputs_are_outside,
    check_scorer_options,
    load_scorer,
    new_parser,
    refuse_idle,
)
from .parser import CommandParser
from .source import constant
from .table_options import reading_of

if TYPE_CHECKING:
    from ..data.dataset import EssayDataset
    from ..scoring.scorer import EssayScorer
    from ..scoring.unknown_prompts import PromptRule

RUN_RECORD_NAME = constant("trm_aes.records", "RUN_RECORD_NAME")
DEFAULT_SPLIT = "test"


def build_parser() -> CommandParser:
    """The parser of `trm-aes evaluate`: scorer, data set or table, and output."""
    parser = new_parser(
        "evaluate", "Measure a scorer's agreement with human scores, by prompt, beside ridge regression."
    )
    add_scorer_options(parser)
    parser.add_argument(
        "--data",
        help="data set that `trm-aes build` wrote; its training essays train the ridge regression, whatever trained the model",
    )
    parser.add_argument(
        "--input",
        help="in place of --data, scored essays that were not built: .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods",
    )
    parser.add_argument("--split", help=f"split of --data to evaluate on ({DEFAULT_SPLIT} if not given)")
    parser.add_argument(
        "--prompt-id", help="the prompt that all essays of --input answer (else its prompt_id or prompt)"
    )
    add_unknown_prompt_option(parser)
    own_file.add_own_file_options(parser, "the model's own for the prompts that it knows", with_prompts=False)
    own_file.add_rater_option(parser)
    parser.add_argument(
        "--output-dir",
        help="where the metrics and predictions go (default: a folder in MODEL, by the split or the input)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an evaluation in the output folder")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes evaluate` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(own_file.RENAMED):
        _check_options(args)
        output_dir = check_is_folder_to_be(args.output_dir or _default_output_dir(args), args.overwrite, EVALUATION)
        check_inputs_are_outside(args, output_dir, ("model", "data", "input"))
        _evaluate(args, output_dir)


def _check_options(args: argparse.Namespace):
    if args.output_dir is None and not Path(args.model).is_dir():
        raise InputError("`output_dir` is needed where `model` is not a folder.")
    check_scorer_options(args)
    if (args.data is None) == (args.input is None):
        raise InputError("Give `data`, a data set, or `input`, a table of scored essays: one of them.")
    if args.data is not None:
        reason = "with `data`: it says what is in which column of `input`"
        own_file.refuse_own_file_options(args, reason)
        refuse_idle(args, ("prompt_id", "rater_columns"), reason)
        check_is_dataset(args.data)
        return
    refuse_idle(args, ("split",), "with `input`: it names a split of `data`")
    check_input_options(args)
    file_format(check_is_file(args.input))
    own_file.check_own_file_options(args)


def _default_output_dir(args: argparse.Namespace) -> Path:
    if args.input is not None:
        # Whatever the table is called, it is no split of a data set.
        return Path(args.model) / f"evaluation-input-{name_without_format(args.input)}"
    return folder_in_model("evaluation", Path(args.model), Path(args.data), args.split or DEFAULT_SPLIT)


def folder_in_model(what: str, model: Path, data: Path, split: str) -> Path:
    """
    Where an evaluation or a report goes if nothing else is said: in the scorer's folder one of its own for each split and data
    set; the splits of the data set that the scorer was trained on need no name of a data set.

    Args:
        what: `evaluation` or `report`, with which the folder's name begins.
        model, data: folders of the scorer and the data set.
        split: of the data set.
    """
    if not (model / RUN_RECORD_NAME).is_file() or _is_trained_on(model, data):
        return model / f"{what}-{split}"
    return model / f"{what}-{data.resolve().name}-{split}"


def _is_trained_on(model: Path, data: Path) -> bool:
    record, card = read_json(model / RUN_RECORD_NAME), read_json(data / CARD_NAME)
    of_model = record.get("data") if isinstance(record, dict) else None
    if not isinstance(of_model, dict) or not isinstance(card, dict):
        return False
    if any(of_model.get(name) != card.get(name) for name in ("source_sha256", "num_essays")):
        return False
    # Records of earlier versions do not tell two draws apart.
    return of_model.get("essays_sha256") in (None, essays_checksum(card))


def _evaluate(args: argparse.Namespace, output_dir: Path):
    from ..evaluation.evaluate import compare_with_ridge, evaluate_scorer
    from ..evaluation.shown import evaluation_table
    from ..evaluation.written import write_evaluation
    from ..scoring.unknown_prompts import ERROR, PromptRule

    scorer = load_scorer(args)
    args.unknown_prompt = args.unknown_prompt or ERROR
    rule = PromptRule(scorer, args.unknown_prompt)
    data, split = _load(args, scorer, rule)
    evaluation = compare_with_ridge(evaluate_scorer(scorer, data, split, rule), data, split)
    with new_folder(output_dir, args.overwrite, EVALUATION) as folder:
        write_evaluation(folder, evaluation, scorer, data, split)
    print("Scores are rounded to those of the scale, but for the columns that are named continuous.")
    print(evaluation_table(evaluation))
    print(f"Wrote {output_dir}")


def _load(args: argparse.Namespace, scorer: "EssayScorer", rule: "PromptRule") -> tuple["EssayDataset", str]:
    """What the scorer is measured on, and the name of the split."""
    from ..data.choices import parse_score_ranges
    from ..data.dataset import load_essay_dataset
    from ..data.sources.rows import read_source
    from ..evaluation.labelled import SPLIT, labelled_essays

    if args.data is not None:
        return load_essay_dataset(args.data), args.split or DEFAULT_SPLIT
    rows, ranges = read_source(args.input, reading_of(args)), parse_score_ranges(args.score_range, args.score_labels)
    columns = own_file.column_names(args)
    return labelled_essays(rows, columns, scorer, rule, args.prompt_id, ranges, vars(args)), SPLIT
