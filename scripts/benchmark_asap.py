"""The five-fold ASAP benchmark: recipes, controls and peers under the published protocol, resumable, with a report."""

import argparse
import sys
from pathlib import Path

from benchmarks import peers, protocol
from benchmarks.depth import depth_table, plot_depth
from benchmarks.protocol import Benchmark, load_benchmark
from benchmarks.report import (
    PUBLISHED,
    cost_table,
    markdown_table,
    paired_difference,
    reference_table,
    results_table,
    write_report,
)
from benchmarks.runner import run_folder, run_system
from benchmarks.settings import check_settings, code_checksum
from benchmarks.systems import System, parse_system
from tqdm import tqdm

from trm_aes.checkpoints import DEFAULT_CHECKPOINT, find_checkpoint
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.tokenizing import TokenLimits
from trm_aes.errors import InputError
from trm_aes.model.essay_tokens import DEFAULT_MAX_PROMPT_TOKENS, DEFAULT_MAX_TOKENS
from trm_aes.records import package_versions
from trm_aes.scoring.scorer import EssayScorer

DEFAULT_SYSTEMS = [
    "length",
    "ridge",
    "boosting",
    "cased-ridge",
    "blend",
    "fast",
    # Its controls: no recursion, at the same parameters; and a stack of as many layers as the recursion calls.
    "fast:H_cycles=1,L_cycles=1",
    "fast:H_cycles=1,L_cycles=1,num_hidden_layers=6",
]
DEPTH_CYCLES = ((1, 1), (2, 2), (3, 4))


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--release", required=True, help="the ASAP release file training_set_rel3.tsv")
    parser.add_argument(
        "--fold-dir", required=True, help="folder of the published ids: fold_K/{train,dev,test}_ids.txt"
    )
    parser.add_argument("--prompts", help="table of the prompts' texts: prompt_id (or essay_set), prompt")
    parser.add_argument("--prompt-set", default="all", help="'all', or prompt ids between commas, as in 3-6")
    parser.add_argument(
        "--system",
        action="append",
        metavar="NAME[:KEY=VALUE,...]",
        help=f"a recipe, with changes if you like, or a peer; may be repeated (default: {' '.join(DEFAULT_SYSTEMS)})",
    )
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--mode", choices=("joint", "per-prompt"), default="joint", help="one model, or one a prompt")
    parser.add_argument("--hardware", default="auto", help="hardware preset")
    parser.add_argument("--checkpoint", default=DEFAULT_CHECKPOINT, help="tokenizer and embeddings")
    parser.add_argument("--max-tokens", type=int, default=DEFAULT_MAX_TOKENS)
    parser.add_argument(
        "--depth-of", metavar="SYSTEM", help="also report score against depth, for this system's first run"
    )
    parser.add_argument(
        "--work-dir", required=True, type=Path, help="results, one folder a run; finished runs are kept"
    )
    return parser


def main(argv=None):
    parser = build_parser()
    args = parser.parse_args(argv)
    # What the library calls folds is the folder of them; --folds are numbers here.
    with parser.flags_in_errors({"folds": "fold_dir"}):
        run_benchmark(args)


def run_benchmark(args: argparse.Namespace):
    limits = TokenLimits(args.max_tokens, DEFAULT_MAX_PROMPT_TOKENS)
    systems = [parse_system(name) for name in dict.fromkeys(args.system or DEFAULT_SYSTEMS)]
    args.folds, args.seeds = list(dict.fromkeys(args.folds)), list(dict.fromkeys(args.seeds))
    if args.depth_of:
        _check_depth(parse_system(args.depth_of), systems, args.mode)
    checkpoint = find_checkpoint(args.checkpoint)
    benchmark = load_benchmark(
        args.release, args.fold_dir, args.prompts, args.prompt_set, checkpoint, limits, args.work_dir
    )
    settings = {**benchmark.settings(), "hardware": args.hardware, "packages": package_versions()}
    settings["code"] = code_checksum(peers, protocol)
    check_settings(args.work_dir, settings, "work_dir", "runs/*/*/result.json", "data/*")
    jobs = [(system, fold, seed) for fold in args.folds for seed in args.seeds for system in systems]
    results = []
    for system, fold, seed in tqdm(jobs, desc="Benchmark", unit="run", disable=None):
        results.append(run_system(benchmark, system, _mode(system, args.mode), fold, seed, args.hardware))
    sections = {
        "Test QWK by prompt": results_table(results, benchmark.prompt_ids),
        "Test QWK by prompt, every system's scale matched on validation": results_table(
            results, benchmark.prompt_ids, "calibrated_test"
        ),
        "Validation QWK by prompt": results_table(results, benchmark.prompt_ids, "validation"),
        "Held against": reference_table(benchmark),
        "Published (mean over eight prompts and five folds, as their authors report it)": "\n".join(
            f"- {name}: {value:.3f}" for name, value in PUBLISHED.items()
        ),
        "Paired differences to the first recipe, scales matched on validation": _differences(benchmark, systems, args),
        "Cost": cost_table(results),
    }
    if args.depth_of:
        sections["Score against depth"] = _depth(benchmark, parse_system(args.depth_of), args)
    write_report(args.work_dir / "report.md", sections)
    print(markdown_table(sections["Test QWK by prompt"]))
    print(f"Wrote {args.work_dir / 'report.md'}")


def _mode(system: System, mode: str) -> str:
    if system.is_recipe:
        return mode
    return "joint" if system.base == "encoder" else "per-prompt"


def _differences(benchmark: Benchmark, systems: list[System], args: argparse.Namespace) -> str:
    recipes = [system for system in systems if system.is_recipe]
    lines = []
    for other in systems:
        if recipes and other != recipes[0]:
            first = (recipes[0], _mode(recipes[0], args.mode))
            difference = paired_difference(benchmark, first, (other, _mode(other, args.mode)), args.folds, args.seeds)
            lines.append(
                f"- {recipes[0].name} less {other.name}: {difference.mean:+.3f} "
                f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f}, {len(args.folds) * len(args.seeds)} runs)"
            )
    return "\n".join(lines) or "None: no two systems."


def _check_depth(system: System, systems: list[System], mode: str):
    if mode != "joint":
        raise InputError("`depth_of` needs `mode` joint.")
    if not system.is_recipe or system not in systems:
        recipes = ", ".join(one.name for one in systems if one.is_recipe) or "none"
        raise InputError(f"`depth_of` {system.name} is not among the recipes that are run: {recipes}.")


def _depth(benchmark: Benchmark, system: System, args: argparse.Namespace) -> str:
    folder = run_folder(benchmark.work_dir, system, "joint", args.folds[0], args.seeds[0]) / "_".join(
        benchmark.prompt_ids
    )
    scorer = EssayScorer.from_pretrained(folder / "model")
    table = depth_table(scorer, benchmark.dataset(args.folds[0]), cycles=DEPTH_CYCLES)
    plot_depth(table, args.work_dir / "depth.png")
    return f"![Mean QWK against supervision steps](depth.png)\n\n{markdown_table(table.set_index('H'))}"


if __name__ == "__main__":
    sys.exit(run(main))
