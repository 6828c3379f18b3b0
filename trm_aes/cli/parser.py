"""The parser of every command: one dialect of options, and errors of one line that speak of them."""

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..bounds import check_bounds
from ..errors import InputError, InterruptedRun, TRMError
from ..naming import nearest_name


class DefaultsHelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows defaults where they say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        says_nothing = action.default is None or action.default is False or action.default == []
        return action.help if says_nothing else super()._get_help_string(action)


NEGATIVE = re.compile(r"-\.?\d")
OPTION = re.compile(r"--[^=]+")
# What runs a program (trm_aes/cli/runner.py) takes it out of the words; it stands in the help alone.
DEBUG_FLAG = "--debug"


class CommandParser(argparse.ArgumentParser):
    """
    A parser whose options are written with hyphens, and may be given with underscores; none may be abbreviated. Help
    shows defaults. What it refuses is an [`InputError`], which says so in one line.
    """

    def __init__(self, prog: str | None = None, description: str | None = None, **kwargs: Any):
        kwargs.setdefault("formatter_class", DefaultsHelpFormatter)
        super().__init__(prog, description=description, allow_abbrev=False, **kwargs)
        self.add_argument(
            DEBUG_FLAG, action="store_true", default=argparse.SUPPRESS, help="show where an error comes from"
        )
        # An empty word stays one, to be refused: as a path it would be the working folder.
        self.register("type", Path, lambda word: Path(word) if word else word)

    def parse_args(self, args: Sequence[str] | None = None, namespace=None) -> argparse.Namespace:  # type: ignore[override]
        """
        This method parses as argparse does, and suggests a similar option for one that does not exist.

        Raises:
            InputError: for an option that does not exist, lacks its value, or has a value that is empty, of the wrong kind or
                out of its bounds (see [`check_bounds`]).
        """
        chosen, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"there is no {unknown[0]}{self._suggestion(unknown[0])}")
        self._refuse_blank(chosen)
        with self.flags_in_errors():
            check_bounds(vars(chosen))
        return chosen

    def parse_known_args(self, args: Sequence[str] | None = None, namespace=None):  # type: ignore[override]
        """
        This method parses as argparse does, after underscores in the names of options have become hyphens, and values that
        begin like negative numbers (`--score-range -3:3`) have been joined to theirs.
        """
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(_with_negative_values([with_hyphens(word) for word in words]), namespace)

    def error(self, message: str) -> NoReturn:
        """
        Called by argparse where it would print its usage and exit.

        Raises:
            InputError: always; it says what was refused, and points to the help.
        """
        end = "" if message.endswith("?") else "."
        raise InputError(f"{message.removeprefix('argument ')}{end} See {self.prog} --help")

    def format_help(self) -> str:
        """Argparse's help, in which parameters of the library have become options."""
        return self.with_flags(super().format_help())

    @property
    def flags(self) -> dict[str, str]:
        """The option of each parameter: `{"max_tokens": "--max-tokens", …}`."""
        found: dict[str, str] = {}
        for action in self._actions:
            if action.option_strings:
                found.setdefault(action.dest, action.option_strings[-1])
        return found

    def with_flags(self, text: str, renamed: Mapping[str, str] | None = None) -> str:
        """
        A message of the library in the words of this command line: parameters in backticks become options, where there
        are such options, and options have hyphens.

        Args:
            text: the message.
            renamed: parameters that the command line calls by another name.
        """
        renamed, flags = renamed or {}, self.flags

        def flag(match: re.Match) -> str:
            return flags.get(renamed.get(match[1], match[1]), match[0])

        text = re.sub(r"`([A-Za-z_][\w.]*)`", flag, text)
        return re.sub(r"--\w+", lambda match: flags.get(match[0][2:], match[0]), text)

    @contextlib.contextmanager
    def flags_in_errors(self, renamed: Mapping[str, str] | None = None) -> Iterator[None]:
        """Errors for people that leave the block speak as [`CommandParser.with_flags`] has them."""
        try:
            yield
        except (TRMError, InterruptedRun) as error:
            error.args = (self.with_flags(str(error), renamed),)
            raise

    def _refuse_blank(self, chosen: argparse.Namespace):
        """An empty value is likelier a variable of the shell that is not set than meant: a path of it is the working folder."""
        for name, value in vars(chosen).items():
            if self.get_default(name) != "" and ("" in value if isinstance(value, list) else str(value) == ""):
                self.error(f"{self.flags.get(name, name)} is needed, or must be left out: its value is empty")

    def _suggestion(self, word: str) -> str:
        name = word.split("=")[0]
        similar = nearest_name(name, self._option_string_actions) if name.startswith("-") else None
        return f"; did you mean {similar}?" if similar is not None else ""


def _with_negative_values(words: list[str]) -> list[str]:
    """The words, each that begins like a negative number joined to the option before it: argparse takes it for an option."""
    joined: list[str] = []
    for word in words:
        if NEGATIVE.match(word) and joined and OPTION.fullmatch(joined[-1]):
            joined[-1] += "=" + word
        else:
            joined.append(word)
    return joined


def with_hyphens(word: str) -> str:
    """`--output_dir=my_runs` to `--output-dir=my_runs`; what is no option stays as it is."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value
