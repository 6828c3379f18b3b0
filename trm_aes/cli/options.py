"""What the programs' command lines have in common."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.rejection import CHOICES, FAIL
from ..errors import InputError
from ..files import check_is_outside
from .parser import CommandParser
from .source import constant

if TYPE_CHECKING:
    from ..scoring.scorer import EssayScorer

SCORER_MODULE = "trm_aes.scoring.scorer"


def new_parser(program: str, description: str) -> CommandParser:
    """The parser of one command, still without options; `program` is the command's name."""
    return CommandParser(f"trm-aes {program}", description)


def add_scorer_options(parser: argparse.ArgumentParser):
    """The options that [`load_scorer`] reads."""
    dtypes = constant(SCORER_MODULE, "DTYPES")
    parser.add_argument("--model", required=True, help="folder of a run or a checkpoint, or an id on the Hub")
    parser.add_argument(
        "--batch-tokens", type=int, default=constant(SCORER_MODULE, "DEFAULT_BATCH_TOKENS"), help="tokens in a batch"
    )
    parser.add_argument(
        "--dtype", choices=dtypes, default=dtypes[0], help="bfloat16 is faster where the hardware has it"
    )
    parser.add_argument("--revision", help="commit, branch or tag of --model on the Hub (default: its main branch)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="auto: the best there is"
    )


def add_unknown_prompt_option(parser: argparse.ArgumentParser):
    """The option that says what becomes of essays of prompts that a scorer has never seen."""
    choices = constant("trm_aes.scoring.unknown_prompts", "CHOICES")
    parser.add_argument(
        "--unknown-prompt",
        choices=choices,
        help=f"essays of prompts that the model does not know: an error ({choices[0]}, if not given), scored as of the prompt "
        "whose text is nearest, or not scored; a column scored_as_prompt says which",
    )


def add_on_error_option(parser: argparse.ArgumentParser, output: str):
    """The option that says what becomes of rows that cannot be used; `output` is what the file beside it is named after."""
    parser.add_argument(
        "--on-error",
        choices=CHOICES,
        default=FAIL,
        help=f"skip: set rows that cannot be used aside, in {output}.rejected.csv with the reason",
    )


def check_is_folder(path: str | Path, parameter: str):
    """
    Checks that there is a folder.

    Raises:
        InputError: if there is no such folder; it names the `parameter` that asked for it.
    """
    if not Path(path).is_dir():
        state = "is not a folder" if Path(path).exists() else "does not exist"
        raise InputError(f"`{parameter}`: {path} {state}.")


def refuse_idle(args: argparse.Namespace, parameters: Iterable[str], reason: str):
    """
    Refuses options that would have no effect.

    Args:
        args: the options.
        parameters: those that have none.
        reason: why, as the end of the sentence.

    Raises:
        InputError: for the first of them that is given.
    """
    for name in parameters:
        value = getattr(args, name)
        if value is not None and value is not False and value != []:
            raise InputError(f"`{name}` has no effect {reason}.")


def check_scorer_options(args: argparse.Namespace):
    """
    Checks what can be told of the options that [`load_scorer`] reads before a model is there.

    Raises:
        InputError: if the model's name can only be that of a folder, because no id on the Hub looks like it, and there is
            none.
    """
    is_hub_id = args.model.count("/") <= 1 and not args.model.startswith((".", "/", "~"))
    if not is_hub_id:
        check_is_folder(args.model, "model")


def check_inputs_are_outside(args: argparse.Namespace, output_dir: str | Path, names: Iterable[str]):
    """
    Checks that nothing that a command reads is among what its output would replace.

    Args:
        args: of the command.
        output_dir: its output.
        names: options that give paths, or other names: what is no path of this machine is passed over.

    Raises:
        InputError: if one is.
    """
    for name in names:
        value = getattr(args, name)
        if value is not None and Path(value).exists():
            check_is_outside(value, output_dir, name)


def load_scorer(args: argparse.Namespace, device: str | None = None) -> "EssayScorer":
    """
    The scorer that the options name, on the given device if any, else on the one that they name.

    Raises:
        InputError: if the scorer is not found or cannot be loaded, or the device is absent.
    """
    from ..scoring.scorer import EssayScorer

    return EssayScorer.from_pretrained(args.model, device or args.device, args.batch_tokens, args.dtype, args.revision)
