"""`trm-aes adapt`: tells a scorer of a prompt that it has never seen, by a few scored essays of it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.formats import check_is_file, file_format
from ..errors import InputError
from ..files import check_is_outside, new_folder
from ..training.folder import RUN, check_is_named, check_may_write
from . import own_file
from .options import check_is_folder, new_parser, refuse_idle
from .parser import CommandParser

if TYPE_CHECKING:
    from ..training.adapt import AdaptedPrompt


def build_parser() -> CommandParser:
    """The parser of `trm-aes adapt`: scorer, the few essays, and output."""
    parser = new_parser(
        "adapt",
        "Tell a scorer of a prompt that it has never seen, by a few scored essays of it: 5 at least, better 20.",
    )
    parser.add_argument(
        "--model", required=True, type=Path, help="folder that `trm-aes train` or `trm-aes adapt` wrote"
    )
    parser.add_argument(
        "--data",
        required=True,
        help="scored essays of the new prompt: .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods",
    )
    parser.add_argument("--output-dir", required=True, help="folder for the scorer that knows the new prompt, too")
    parser.add_argument(
        "--prompt-id", help="id of the new prompt, which all essays answer (else the column prompt_id, for one or more)"
    )
    own_file.add_own_file_options(parser, "needed unless columns or --prompts give it")
    parser.add_argument("--overwrite", action="store_true", help="replace a scorer in --output-dir")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes adapt` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(own_file.RENAMED):
        _check_options(args)
        _adapt(args)


def _check_options(args: argparse.Namespace):
    check_is_folder(args.model, "model")
    file_format(check_is_file(args.data))
    own_file.check_own_file_options(args)
    if args.prompt_id is not None:
        refuse_idle(args, ("prompt_id_column",), "with `prompt_id`, which all essays answer")
    check_is_named(args.output_dir)
    if Path(args.output_dir).resolve() == args.model.resolve():
        raise InputError("`output_dir` is the folder of `model`, which is kept as it is. Choose another.")
    check_may_write(args.output_dir, args.overwrite)
    for parameter in ("model", "data", "prompts"):
        if getattr(args, parameter) is not None:
            check_is_outside(getattr(args, parameter), args.output_dir, parameter)


def _adapt(args: argparse.Namespace):
    from ..records import RunRecord
    from ..scoring.scorer import EssayScorer
    from ..training.adapt import adapt_scorer, adapted_record

    with new_folder(args.output_dir, args.overwrite, RUN) as folder:
        record = RunRecord.read(args.model)
        table = own_file.load_own_file(args, args.data, args.prompt_id, observe_ranges=False)
        scorer = EssayScorer.from_pretrained(args.model, "cpu")
        adapted, told = adapt_scorer(scorer, table)
        adapted.save_pretrained(folder)
        adapted_record(record, adapted, table, told).write(folder)
    for prompt_id, prompt in told.items():
        print(_describe(prompt_id, prompt))
    print(f"The scorer is in {args.output_dir}")


def _describe(prompt_id: str, prompt: "AdaptedPrompt") -> str:
    from ..model.score_scale import ScoreRange

    scale = ScoreRange.from_list(prompt.score_range)
    return (
        f"Prompt {prompt_id} ({scale}): {prompt.num_essays} essays. Each scored with the help of the others: "
        f"QWK {prompt.left_out['qwk']:.2f}, {prompt.left_out['adjacent_agreement']:.0%} within one step."
    )
