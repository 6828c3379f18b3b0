"""`trm-aes build`: from a source of scored essays to a tokenized data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks import check_at_least_one
from ..data.formats import check_is_file, file_format
from ..errors import InputError
from ..files import check_is_free
from . import own_file
from .options import check_is_folder, new_parser
from .parser import CommandParser
from .source import constant
from .table_options import reading_of

if TYPE_CHECKING:
    from ..data.schema import EssayTable
    from ..data.splits import Splits

DEMO_SOURCE = "demo"
HUB_SOURCE = "hub"
TOKENS_MODULE = "trm_aes.model.essay_tokens"
# Parameters of the library that have another name here.
RENAMED = {"num_essays": "limit_train_essays", **own_file.RENAMED}


def build_parser() -> CommandParser:
    """The parser of `trm-aes build`: source, splits and tokens."""
    parser = new_parser("build", "Build a tokenized data set (train, validation, test) from scored essays.")
    parser.add_argument(
        "--source",
        required=True,
        help=f"'{DEMO_SOURCE}' (synthetic essays), '{HUB_SOURCE}' (ASAP from the Hub), the ASAP release file "
        "training_set_rel3.tsv, or your own .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods",
    )
    parser.add_argument("--output-dir", help="folder to write; needed unless --analyze-lengths is given")
    parser.add_argument("--prompt-set", default="all", help="'all', or prompt ids between commas, as in 1-2 or 3-6,8")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --output-dir")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, the subset and the demo corpus")

    own_file.add_own_file_options(parser, "read off the scores if nothing gives it")

    splits = parser.add_argument_group("splits")
    splits.add_argument("--folds", metavar="DIR", help="folder of published splits: fold_K/{train,dev,test}_ids.txt")
    splits.add_argument("--fold", type=int, help="which fold of --folds")
    splits.add_argument("--validation-share", type=float, default=0.2, help="of the essays, without --folds")
    splits.add_argument("--test-share", type=float, default=0.2, help="of the essays, without --folds")
    splits.add_argument("--limit-train-essays", type=int, metavar="N", help="train on N essays; smaller N are nested")

    tokens = parser.add_argument_group("tokens")
    tokens.add_argument(
        "--tokenizer",
        default=constant("trm_aes.checkpoints", "DEFAULT_CHECKPOINT"),
        help="checkpoint on the Hub, or folder",
    )
    tokens.add_argument(
        "--max-tokens", type=int, default=constant(TOKENS_MODULE, "DEFAULT_MAX_TOKENS"), help="longest sequence"
    )
    tokens.add_argument(
        "--max-prompt-tokens",
        type=int,
        default=constant(TOKENS_MODULE, "DEFAULT_MAX_PROMPT_TOKENS"),
        help="what is left of the prompt where a sequence is too long; then the essay is cut",
    )
    tokens.add_argument("--drop-longer-than", type=int, metavar="TOKENS", help="leave out longer essays")
    tokens.add_argument("--analyze-lengths", action="store_true", help="print lengths by prompt, and save nothing")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes build` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(RENAMED):
        _check_options(args)
        _build(args)


def _check_options(args: argparse.Namespace):
    from ..data.choices import check_shares

    if args.source not in (DEMO_SOURCE, HUB_SOURCE):
        file_format(check_is_file(args.source))
    own_file.check_own_file_options(args)
    if (args.folds is None) != (args.fold is None):
        raise InputError("`folds` and `fold` go together: the folder of the splits, and the number of one.")
    if args.folds is not None:
        check_is_folder(Path(args.folds) / f"fold_{args.fold}", "folds")
    check_shares(args.validation_share, args.test_share)
    if args.limit_train_essays is not None:
        check_at_least_one(args.limit_train_essays, "num_essays")
    if args.analyze_lengths:
        return
    if not args.output_dir:
        raise InputError("`output_dir` is needed (or `analyze_lengths`, which saves nothing).")
    check_is_free(args.output_dir, args.overwrite)


def _build(args: argparse.Namespace):
    from ..checkpoints import find_checkpoint, load_tokenizer
    from ..data.dataset import TokenLimits, build_dataset, card_table, tokenize_frame
    from ..data.lengths import format_length_table, length_table
    from ..data.prompts import select_prompt_ids

    table = _load_source(args)
    print(f"Read {len(table.frame):,} rows of {table.source}.")
    prompt_ids = select_prompt_ids(args.prompt_set, table.prompt_ids)
    checkpoint = find_checkpoint(args.tokenizer)
    tokenizer = load_tokenizer(checkpoint)
    limits = TokenLimits(args.max_tokens, args.max_prompt_tokens, args.drop_longer_than)
    if args.analyze_lengths:
        frame = table.select(prompt_ids).frame
        encoded = tokenize_frame(frame, tokenizer, limits, "Tokenizing")
        print(f"Tokens of prompt and essay ({table.source}; tokenizer {checkpoint.name})")
        print(format_length_table(length_table(frame, encoded, args.max_tokens), args.max_tokens))
        return
    splits = _split(table, prompt_ids, args)
    card = build_dataset(table, splits, tokenizer, checkpoint.name, limits, args.output_dir, vars(args), args.overwrite)
    print(card_table(card))
    if splits.num_texts_across:
        print(f"Note: {splits.num_texts_across} texts are in more than one split of these folds.")
    print(f"Wrote {args.output_dir} ({table.source}; tokenizer {checkpoint.name}).")


def _load_source(args: argparse.Namespace) -> "EssayTable":
    """The whole source that `--source` names."""
    from ..data.choices import expand_prompt_set
    from ..data.sources.asap import is_release, load_from_hub, load_release
    from ..data.sources.demo import load_demo

    if args.source == DEMO_SOURCE:
        return load_demo(args.seed)
    if args.source == HUB_SOURCE:
        prompt_ids = None if args.prompt_set == "all" else expand_prompt_set(args.prompt_set)
        return load_from_hub(prompt_ids, own_file.read_prompts(args))
    if is_release(args.source, reading_of(args)):
        return load_release(args.source, own_file.read_prompts(args), reading_of(args))
    return own_file.load_own_file(args, args.source)


def _split(table: "EssayTable", prompt_ids: list[str], args: argparse.Namespace) -> "Splits":
    from ..data.splits import limit_train, read_folds, select_prompts_in_splits, split_essays

    if args.folds:
        splits = select_prompts_in_splits(read_folds(table, args.folds, args.fold), prompt_ids, table.source)
    else:
        splits = split_essays(table.select(prompt_ids), args.validation_share, args.test_share, args.seed)
    if args.limit_train_essays is None:
        return splits
    return limit_train(splits, args.limit_train_essays, args.seed)
