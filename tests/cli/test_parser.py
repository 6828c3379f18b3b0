"""One dialect of options, and errors that speak it."""

import pytest

from trm_aes.bounds import BOUNDS
from trm_aes.cli import adapt, build, demo, evaluate, explain, push, report, score, states, train_options
from trm_aes.cli.parser import CommandParser, with_hyphens
from trm_aes.errors import InputError, InterruptedRun
from trm_aes.presets import DEFAULT_RECIPE

PARSERS = {module.__name__.rsplit(".", 1)[-1]: module.build_parser
           for module in (adapt, build, demo, evaluate, explain, push, report, score, states, train_options)}  # fmt: skip


@pytest.fixture
def parser():
    parser = CommandParser("trm-aes test", "A test.")
    parser.add_argument("--max-tokens", type=int, default=5, help="see `min_score` and `max_tokens`")
    parser.add_argument("--essay-column")
    return parser


@pytest.mark.parametrize(
    "given, expected",
    [
        ("--output_dir", "--output-dir"),
        ("--output_dir=my_runs", "--output-dir=my_runs"),
        ("my_runs", "my_runs"),
        ("-", "-"),
        ("-a_b", "-a_b"),
    ],
)
def test_underscores_become_hyphens_in_names_alone(given, expected):
    assert with_hyphens(given) == expected


@pytest.mark.parametrize("name", PARSERS)
def test_every_option_may_be_given_with_underscores(name):
    """Both spellings of every option take the same values, and help shows neither underscores nor parameters."""
    parser = PARSERS[name]()
    required = {action.dest: "x" for action in parser._actions if action.required}
    for action in parser._actions:
        if not action.option_strings or action.dest == "help":
            continue
        flag = action.option_strings[-1]
        assert "_" not in flag
        value = (
            []
            if action.nargs == 0
            else [action.choices[-1] if action.choices else "0.5" if action.type is float else "1"]
        )
        others = [word for dest, text in required.items() if dest != action.dest
                  for word in (f"--{dest.replace('_', '-')}", text)]  # fmt: skip
        hyphens = parser.parse_args([flag, *value, *others])
        underscores = parser.parse_args(["--" + flag[2:].replace("-", "_"), *value, *others])
        assert vars(hyphens) == vars(underscores) != {}
        assert getattr(hyphens, action.dest) is not None
    words = parser.format_help().split()
    assert not [word for word in words if word.startswith("--") and "_" in word]
    assert "`max_tokens`" not in words and "`output_dir`" not in words


@pytest.mark.parametrize("name", PARSERS)
def test_every_number_has_bounds(name):
    """An option, or a field of Transformers, that comes later needs bounds, too."""
    numbers = {action.dest for action in PARSERS[name]()._actions if action.type in (int, float)}
    assert numbers <= BOUNDS.keys()


def test_what_is_wrong_with_an_option_is_said_in_one_line(parser):
    with pytest.raises(InputError, match="^there is no --max-token; did you mean --max-tokens?.*trm-aes test --help$"):
        parser.parse_args(["--max-token", "3"])
    with pytest.raises(InputError, match="^there is no essay.csv. See"):
        parser.parse_args(["essay.csv"])
    with pytest.raises(InputError, match="^--max-tokens: invalid int value: 'many'"):
        parser.parse_args(["--max_tokens", "many"])
    with pytest.raises(InputError, match="^--max-tokens: expected one argument"):
        parser.parse_args(["--max_tokens"])


def test_parameters_become_options_where_there_are_such(parser):
    renamed = {"columns.essay": "essay_column"}
    message = "`max_tokens` 3: see `columns.essay`, `columns.score`, `hf auth login` and --max_tokens, --min_tokens"
    expected = "--max-tokens 3: see --essay-column, `columns.score`, `hf auth login` and --max-tokens, --min_tokens"
    assert parser.with_flags(message, renamed) == expected
    assert "see `min_score` and --max-tokens" in parser.format_help()


def test_help_names_the_presets_that_are_used_where_none_is_given():
    text = " ".join(train_options.build_parser().format_help().split())
    assert f"(default: {DEFAULT_RECIPE})" in text and "(default: auto)" in text


@pytest.mark.parametrize("error", [InputError, InterruptedRun])
def test_errors_keep_their_kind(parser, error):
    with pytest.raises(error, match="^lower --max-tokens$"), parser.flags_in_errors():
        raise error("lower `max_tokens`")
    with pytest.raises(KeyError, match="`max_tokens`"), parser.flags_in_errors():
        raise KeyError("`max_tokens`")
