"""`trm-aes push`: publishes a scorer on the Hub, with a model card made from its own records."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from .options import check_is_folder, new_parser
from .parser import CommandParser
from .source import constant

# Parameters of the library that have another name here.
RENAMED = {"evaluation_dir": "evaluation"}


def build_parser() -> CommandParser:
    """The parser of `trm-aes push`: scorer, repository and card."""
    parser = new_parser("push", "Upload a trained scorer to the Hugging Face Hub, with a model card.")
    parser.add_argument("--model", required=True, type=Path, help="folder that `trm-aes train` wrote")
    parser.add_argument("--repo-id", required=True, help="user/name on the Hub; made if it does not exist")
    parser.add_argument("--private", action="store_true", help="make it private")
    parser.add_argument(
        "--evaluation", type=Path, help="folder that `trm-aes evaluate` wrote (default: MODEL/evaluation-test)"
    )
    parser.add_argument(
        "--license",
        default=constant("trm_aes.publishing.model_card", "DEFAULT_LICENSE"),
        help="of the weights, by the Hub's name for it",
    )
    parser.add_argument("--card-only", action="store_true", help="print the model card and upload nothing")
    parser.add_argument("--overwrite", action="store_true", help="add a commit to a repository that holds files")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes push` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
        OutputError: if the upload breaks off.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(RENAMED):
        check_is_folder(args.model, "model")
        if args.evaluation is not None:
            check_is_folder(args.evaluation, "evaluation")
        _push(args)


def _push(args: argparse.Namespace):
    from ..publishing.hub import check_repo_id, publish
    from ..publishing.model_card import find_evaluation, find_report, render_model_card

    check_repo_id(args.repo_id)
    evaluation, report = find_evaluation(args.model, args.evaluation), find_report(args.model)
    card = render_model_card(args.model, args.repo_id, evaluation, args.license, report)
    if args.card_only:
        print(card)
        return
    address = publish(args.model, args.repo_id, str(card), evaluation, report, args.private, args.overwrite)
    print(f"Published {args.repo_id}: {address}")
