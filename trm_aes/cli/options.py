"""What the programs' command lines have in common."""

import argparse

import torch

from ..scoring.scorer import DEFAULT_BATCH_TOKENS, DTYPES, EssayScorer


def new_parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser that shows defaults and takes no abbreviated options."""
    return argparse.ArgumentParser(
        prog=f"trm-aes {program}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )


def add_scorer_options(parser: argparse.ArgumentParser):
    """The options that [`load_scorer`] reads."""
    parser.add_argument("--model", required=True, help="folder of a run or a checkpoint, or an id on the Hub")
    parser.add_argument("--batch-tokens", type=int, default=DEFAULT_BATCH_TOKENS, help="tokens in a batch")
    parser.add_argument(
        "--dtype", choices=DTYPES, default=DTYPES[0], help="bfloat16 is faster where the hardware has it"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def load_scorer(args: argparse.Namespace, device: torch.device | None = None) -> EssayScorer:
    """
    The scorer that the options name, on the given device where a launcher has chosen one.

    Raises:
        InputError: if the scorer cannot be had, or the device is absent.
    """
    return EssayScorer.from_pretrained(args.model, device or args.device, args.batch_tokens, args.dtype)
