"""`trm-aes build`: from a source of scored essays to a tokenized data set."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.folder import DATASET
from ..data.formats import check_is_file, file_format
from ..data.rejection import SKIP, RowCheck, check_can_reject, rejected_path
from ..errors import InputError
from ..files import check_is_folder_to_be, check_is_outside
from . import own_file
from .options import add_on_error_option, check_is_folder, new_parser, refuse_idle
from .parser import CommandParser
from .source import constant
from .table_options import LAYOUT_OPTIONS, TEXT_OPTIONS

if TYPE_CHECKING:
    from ..data.schema import EssayTable
    from ..data.splits import Splits
    from ..data.tokenizing import TokenLimits

DEMO_SOURCE = "demo"
ASAP_HUB_SOURCE = "hub"
HUB_PREFIX = constant("trm_aes.data.sources.hub", "PREFIX")
TOKENS_MODULE = "trm_aes.model.essay_tokens"
DEFAULT_SHARE = constant("trm_aes.data.choices", "DEFAULT_SHARE")
# Parameters of the library that have another name here.
RENAMED = {"num_essays": "limit_train_essays", **own_file.RENAMED}
# What says which columns hold values, or which essays are in which split, of a table alone.
TABLE_OPTIONS = (
    "split_column", "rater_columns", "trait_column", "trait_scales", "traits", "group_columns", "no_prompts",
)  # fmt: skip
SPLIT_SOURCES = ("validation_source", "test_source")


def build_parser() -> CommandParser:
    """The parser of `trm-aes build`: source, columns, splits and tokens."""
    parser = new_parser("build", "Build a tokenized data set (train, validation, test) from scored essays.")
    parser.add_argument(
        "--source",
        required=True,
        help=f"'{DEMO_SOURCE}' (synthetic essays), '{ASAP_HUB_SOURCE}' (ASAP from the Hub), "
        f"'{HUB_PREFIX}user/name[@revision][:config]' (a data set there), the ASAP release file training_set_rel3.tsv, or "
        "your own .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods",
    )
    parser.add_argument("--output-dir", help="folder to write; needed unless --analyze-lengths is given")
    parser.add_argument("--prompt-set", default="all", help="'all', or prompt ids between commas, as in 1-2 or 3-6,8")
    parser.add_argument(
        "--no-prompts", action="store_true", help="read all essays as one task, whatever columns there are"
    )
    add_on_error_option(parser, "OUTPUT_DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set in --output-dir")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, the subset and the demo corpus")
    own_file.add_own_file_options(parser, "read off the scores if nothing gives it")
    _add_value_options(parser)
    _add_split_options(parser)
    _add_token_options(parser)
    return parser


def _add_value_options(parser: CommandParser):
    values = parser.add_argument_group("values beside the score")
    own_file.add_rater_option(values)
    own_file.add_trait_options(values)
    values.add_argument("--group-columns", metavar="NAMES", help="columns with groups of writers, between commas")


def _add_split_options(parser: CommandParser):
    splits = parser.add_argument_group("splits")
    splits.add_argument(
        "--validation-source", metavar="FILE", help="file of the essays that validate; --source then trains"
    )
    splits.add_argument("--test-source", metavar="FILE", help="file of the essays that test; --source then trains")
    splits.add_argument(
        "--split-column",
        metavar="NAME",
        help="column that says train, validation or test (split if not given, unless a share is)",
    )
    splits.add_argument("--folds", metavar="DIR", help="folder of published splits: fold_K/{train,dev,test}_ids.txt")
    splits.add_argument("--fold", type=int, help="which fold of --folds")
    splits.add_argument(
        "--validation-share", type=float, metavar="SHARE", help=f"of the essays ({DEFAULT_SHARE} if not given)"
    )
    splits.add_argument(
        "--test-share",
        type=float,
        metavar="SHARE",
        help=f"of the essays; 0 for no test split ({DEFAULT_SHARE} if not given)",
    )
    splits.add_argument(
        "--limit-train-essays", type=int, metavar="N", help="train on at most N essays; smaller N are nested"
    )


def _add_token_options(parser: CommandParser):
    tokens = parser.add_argument_group("tokens")
    tokens.add_argument(
        "--tokenizer",
        default=constant("trm_aes.checkpoints", "DEFAULT_CHECKPOINT"),
        help="checkpoint on the Hub, or folder",
    )
    tokens.add_argument("--revision", help="commit, branch or tag of --tokenizer on the Hub (default: its main branch)")
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
        _build(args, parser)


def _check_options(args: argparse.Namespace):
    from ..data.choices import expand_prompt_set

    if _is_file(args.source):
        file_format(check_is_file(args.source))
    own_file.check_own_file_options(args)
    if args.prompt_set != "all":
        expand_prompt_set(args.prompt_set)
    _check_split_options(args)
    _check_for_idle(args)
    if args.analyze_lengths:
        return
    if not args.output_dir:
        raise InputError("`output_dir` is needed (or `analyze_lengths`, which saves nothing).")
    check_is_folder_to_be(args.output_dir, args.overwrite, DATASET)
    named = ("source", *SPLIT_SOURCES, "prompts", "traits", "trait_scales", "folds")
    inputs = {parameter: path for parameter in named if (path := getattr(args, parameter)) is not None}
    if not _is_file(args.source):
        # A name, which the output's folder may have as well.
        del inputs["source"]
    for parameter, path in inputs.items():
        check_is_outside(path, args.output_dir, parameter)
    if args.on_error == SKIP:
        check_can_reject(args.output_dir, args.overwrite, inputs)


def _is_file(source: str) -> bool:
    return source not in (DEMO_SOURCE, ASAP_HUB_SOURCE) and not source.startswith(HUB_PREFIX)


def _check_split_options(args: argparse.Namespace):
    from ..data.choices import check_shares

    if (args.folds is None) != (args.fold is None):
        raise InputError("`folds` and `fold` go together: the folder of the splits, and the number of one.")
    if args.folds is not None:
        check_is_folder(Path(args.folds) / f"fold_{args.fold}", "folds")
        refuse_idle(args, ("validation_share", "test_share", "split_column", *SPLIT_SOURCES), "with `folds`")
    for name in SPLIT_SOURCES:
        if getattr(args, name) is not None:
            if not _is_file(args.source):
                raise InputError(f"`{name}` has no effect with `source` {args.source}: it goes with a file.")
            file_format(check_is_file(getattr(args, name)))
            refuse_idle(args, ("split_column",), f"with `{name}`")
    check_shares(*_shares(args))


def _check_for_idle(args: argparse.Namespace):
    """Refuses what would have no effect with the source, or with the other options."""
    if args.source == DEMO_SOURCE:
        reason = f"with `source` {DEMO_SOURCE}, whose essays are made up"
        own_file.refuse_own_file_options(args, reason)
        refuse_idle(args, TABLE_OPTIONS, reason)
    elif not _is_file(args.source):
        reason = f"with `source` {args.source}, which is no file"
        refuse_idle(args, LAYOUT_OPTIONS if args.prompts or args.traits else (*TEXT_OPTIONS, *LAYOUT_OPTIONS), reason)
    if args.no_prompts:
        refuse_idle(args, ("prompt_id_column", "prompt_column", "prompts"), "with `no_prompts`")
        if args.prompt_set != "all":
            raise InputError("`prompt_set` has no effect with `no_prompts`.")
    if args.analyze_lengths:
        of_splits = ("folds", "fold", "validation_share", "test_share", "limit_train_essays")
        idle = ("output_dir", "overwrite", "drop_longer_than", *of_splits)
        refuse_idle(args, idle, "with `analyze_lengths`, which splits and saves nothing")


def _shares(args: argparse.Namespace) -> tuple[float, float]:
    """The shares of validation and test essays, where the options or the defaults give them."""
    validation, test = (DEFAULT_SHARE if share is None else share for share in (args.validation_share, args.test_share))
    return validation, test


def _build(args: argparse.Namespace, parser: CommandParser):
    from ..checkpoints import find_checkpoint, load_tokenizer
    from ..data.dataset import build_dataset, cut_sentences
    from ..data.overview import check_prompts, check_traits, overview
    from ..data.prompts import select_prompt_ids
    from ..data.tokenizing import TokenLimits

    check = RowCheck(skip=args.on_error == SKIP)
    table = _load_source(args, check)
    print(f"Read {len(table.frame) + len(check.reasons):,} rows of {table.source}.")
    prompt_ids = select_prompt_ids(args.prompt_set, table.prompt_ids)
    limits = TokenLimits(args.max_tokens, args.max_prompt_tokens, args.drop_longer_than)
    if args.analyze_lengths:
        _print_lengths(table.select(prompt_ids), args, limits)
        if check.reasons:
            first = parser.with_flags(next(iter(check.reasons.values())), RENAMED)
            print(f"{len(check.reasons):,} rows cannot be used, and are not among these. The first: {first}")
        return
    splits, splits_from = _split(table, prompt_ids, args)
    warnings = [*check_prompts(table, splits), *check_traits(table, splits)]
    print(parser.with_flags("\n".join([overview(table, splits, splits_from), *warnings, *_notes(splits)]), RENAMED))
    checkpoint = find_checkpoint(args.tokenizer, args.revision)
    tokenizer = load_tokenizer(checkpoint)
    options = {**vars(args), "tokenizer_commit": checkpoint.commit}
    card = build_dataset(table, splits, tokenizer, checkpoint.name, limits, args.output_dir, options, args.overwrite)
    in_words = partial(parser.with_flags, renamed=RENAMED)
    rejected = check.write(rejected_path(args.output_dir), args.overwrite, in_words)
    for sentence in (*cut_sentences(card), rejected):
        if sentence is not None:
            print(parser.with_flags(sentence))
    print(f"Wrote {args.output_dir} ({table.source}; tokenizer {checkpoint.name}).")


def _notes(splits: "Splits") -> list[str]:
    """What is to be said of texts that are in several splits."""
    notes = []
    if splits.num_not_read:
        notes.append(
            f"Note: {splits.num_not_read} essays of these folds are left out: their rows are set aside, or their prompts have none "
            "of the scores that are read."
        )
    if splits.num_texts_across:
        notes.append(f"Note: {splits.num_texts_across} texts are in more than one split of these folds.")
    if splits.num_copies_dropped:
        notes.append(
            f"Note: {splits.num_copies_dropped} essays were dropped, since a later split (train, validation, test) has the "
            "same text."
        )
    return notes


def _print_lengths(table: "EssayTable", args: argparse.Namespace, limits: "TokenLimits"):
    from ..checkpoints import find_checkpoint, load_tokenizer
    from ..data.lengths import format_length_table, length_table
    from ..data.tokenizing import tokenize_frame

    checkpoint = find_checkpoint(args.tokenizer, args.revision)
    encoded = tokenize_frame(table.frame, load_tokenizer(checkpoint), limits, "Tokenizing")
    print(f"Tokens of prompt and essay ({table.source}; tokenizer {checkpoint.name})")
    print(format_length_table(length_table(table.frame, encoded, limits.max_tokens), limits.max_tokens))


def _load_source(args: argparse.Namespace, check: "RowCheck") -> "EssayTable":
    """The whole source that `--source` names."""
    from ..data.choices import expand_prompt_set, parse_score_ranges
    from ..data.prompts import KnownPrompts
    from ..data.sources.asap import load_from_hub, load_table
    from ..data.sources.demo import load_demo
    from ..data.sources.hub import read_hub_source
    from ..data.sources.own import make_table
    from ..data.sources.rows import read_split_sources

    if args.source == DEMO_SOURCE:
        return load_demo(args.seed)
    columns, ranges = own_file.column_names(args), parse_score_ranges(args.score_range, args.score_labels)
    prompts = own_file.read_prompts(args)
    if args.source == ASAP_HUB_SOURCE:
        prompt_ids = None if args.prompt_set == "all" else expand_prompt_set(args.prompt_set)
        return load_from_hub(prompt_ids, prompts, columns, ranges, check)
    known = KnownPrompts(prompts, ranges)
    if args.source.startswith(HUB_PREFIX):
        return make_table(read_hub_source(args.source), columns, known, check)
    paths = {"train": args.source, "validation": args.validation_source, "test": args.test_source}
    given = {split: path for split, path in paths.items() if path is not None}
    reading = own_file.reading_of_source(args, *given.values())
    if len(given) > 1:
        return make_table(read_split_sources(given, reading, check), columns, known, check)
    return load_table(args.source, columns, known, check, reading)


def _split(table: "EssayTable", prompt_ids: list[str], args: argparse.Namespace) -> tuple["Splits", str]:
    """The splits of the chosen prompts, and where they come from, in words for people."""
    from ..data.splits import limit_train, read_folds, read_own_splits, select_prompts_in_splits, split_essays

    validation_share, test_share = _shares(args)
    if args.folds:
        splits = select_prompts_in_splits(read_folds(table, args.folds, args.fold), prompt_ids, table.source)
        origin = f"fold {args.fold} of {args.folds}"
    elif _has_own_splits(table, args):
        splits = read_own_splits(table.select(prompt_ids), args.validation_share, args.seed)
        origin = "the source's own"
    else:
        splits = split_essays(table.select(prompt_ids), validation_share, test_share, args.seed)
        origin = f"drawn: {validation_share:g} validate, {test_share:g} test"
    if args.limit_train_essays is not None:
        splits = limit_train(splits, args.limit_train_essays, args.seed)
        origin += f"; at most {args.limit_train_essays} essays train"
    return splits, origin


def _has_own_splits(table: "EssayTable", args: argparse.Namespace) -> bool:
    """
    Whether the source's own splits are taken: where it has any, unless a share is given that stands against them. Of splits that
    nobody named, those of a data set on the Hub are splits; a column `split` may be anything.
    """
    if table.split_of is None:
        return False
    named = [name for name in ("split_column", *SPLIT_SOURCES) if getattr(args, name) is not None]
    if named and args.test_share is not None:
        raise InputError(f"`test_share` has no effect with `{named[0]}`.")
    if args.test_share is not None:
        return False
    return bool(named) or table.splits_are_parts or args.validation_share is None
