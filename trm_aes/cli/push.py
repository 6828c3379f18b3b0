"""`trm-aes push`: publishes a scorer on the Hub, with a model card made from its own records."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from .options import check_is_folder, new_parser, refuse_idle
from .parser import CommandParser
from .source import constant

# Parameters of the library that have another name here.
RENAMED = {"evaluation_dir": "evaluation"}


def build_parser() -> CommandParser:
    """The parser of `trm-aes push`: scorer, repository and card."""
    parser = new_parser("push", "Upload a trained scorer to the Hugging Face Hub, with a model card.")
    parser.add_argument("--model", required=True, type=Path, help="folder that `trm-aes train` wrote")
    parser.add_argument("--repo-id", required=True, help="user/name on the Hub; made if it does not exist")
    parser.add_argument(
        "--space", metavar="USER/NAME", help="publish a Space, too, on whose page the scorer can be tried"
    )
    parser.add_argument("--private", action="store_true", help="make what is published private")
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
        if args.card_only:
            refuse_idle(args, ("space", "private", "overwrite"), "with `card_only`, which uploads nothing")
        _push(args)


def _push(args: argparse.Namespace):
    from ..publishing.hub import SPACE, check_may_be_written, check_repo_id, publish
    from ..publishing.model_card import find_evaluation, find_report, render_model_card
    from ..publishing.space import publish_space

    check_repo_id(args.repo_id)
    if args.space is not None:
        # Before the scorer is published.
        check_may_be_written(args.space, args.private, args.overwrite, repo_type=SPACE)
    evaluation, report = find_evaluation(args.model, args.evaluation), find_report(args.model)
    card = render_model_card(args.model, args.repo_id, evaluation, args.license, report)
    if args.card_only:
        print(card)
        return
    address = publish(args.model, args.repo_id, str(card), evaluation, report, args.private, args.overwrite)
    print(f"Published {args.repo_id}: {address}")
    if args.space is not None:
        address = publish_space(args.space, args.repo_id, args.license, args.private, args.overwrite)
        print(f"Published the Space {args.space}: {address}")
