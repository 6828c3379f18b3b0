"""`trm-aes states`: says how much of an encoder's states training keeps on disk, and clears them."""

from collections.abc import Sequence

from .options import new_parser
from .parser import CommandParser


def build_parser() -> CommandParser:
    """The parser of `trm-aes states`."""
    parser = new_parser("states", "Show, or clear, what training keeps of a pretrained encoder's states of essays.")
    parser.add_argument("--clear", action="store_true", help="delete them; training computes them again when needed")
    return parser


def main(argv: Sequence[str] | None = None):
    """Runs `trm-aes states` on the words of a command line; `None` reads the program's own."""
    args = build_parser().parse_args(argv)
    from ..training.states_folder import clear_states, states_folder, states_size

    folder, size = states_folder(), states_size() / 1e9
    if args.clear:
        clear_states()
        print(f"Cleared {size:.1f} GB in {folder}")
    else:
        print(f"{size:.1f} GB in {folder}")
