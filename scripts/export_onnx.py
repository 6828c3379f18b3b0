"""Exports a scorer to ONNX, in float32 and with int8 weights, and says what that changes on a split of a data set."""

import argparse
import importlib.util
import logging
import sys
import warnings

from trm_aes.cli.options import check_inputs_are_outside
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.agreement import mean_qwk
from trm_aes.files import FolderKind, check_is_folder_to_be, new_folder, write_json
from trm_aes.model.score_scale import denormalize_by_prompt
from trm_aes.records import package_versions
from trm_aes.scoring.onnx import compare_with_onnx, export_onnx, quantize_onnx
from trm_aes.scoring.scorer import EssayScorer

REPORT_NAME = "report.json"
GRAPH_NAME = "model.onnx"
EXPORT = FolderKind.with_record("scripts/export_onnx.py", REPORT_NAME, GRAPH_NAME)


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder that training wrote, or an id on the Hub")
    parser.add_argument("--data", required=True, help="data set that `trm-aes build` wrote, to compare on")
    parser.add_argument("--split", default="validation", help="split to compare on")
    parser.add_argument("--output-dir", required=True, help="where model.onnx, model-int8.onnx and report.json go")
    parser.add_argument("--overwrite", action="store_true", help="replace an export in the output folder")
    return parser


def main(argv=None):
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        export(args)


def export(args: argparse.Namespace):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"The export needs {package}: pip install 'trm-aes[onnx]'")
    check_inputs_are_outside(args, args.output_dir, ("model", "data"))
    check_is_folder_to_be(args.output_dir, args.overwrite, EXPORT)
    data = load_essay_dataset(args.data)
    split = data.split(args.split)
    scorer = EssayScorer.from_pretrained(args.model, "cpu")
    data.check_tokenizer(scorer.tokenizer, scorer.name)
    data.check_features(scorer.model.config.text_features)
    rows = scorer.rows(split)
    frame = split.select_columns(["prompt_id", "score"]).to_pandas()
    # The exporter speaks of its own internals.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="torch")
    with new_folder(args.output_dir, args.overwrite, EXPORT) as folder:
        paths = {"float32": folder / GRAPH_NAME, "int8": folder / "model-int8.onnx"}
        export_onnx(scorer, paths["float32"])
        quantize_onnx(*paths.values())
        scorer.tokenizer.save_pretrained(folder)
        scorer.model.config.save_pretrained(folder)
        results = compare_with_onnx(paths, scorer, rows)
        for result in results.values():
            predicted = denormalize_by_prompt(result.pop("normalized"), frame["prompt_id"], scorer.score_ranges)
            result["mean_qwk"] = mean_qwk(frame["prompt_id"], frame["score"], predicted, scorer.score_ranges)
            result["essays_per_second"] = len(rows) / result["seconds"]
        write_json(
            folder / REPORT_NAME,
            {
                "model": scorer.name,
                "split": args.split,
                "essays": len(rows),
                "results": results,
                "packages": package_versions(),
            },
        )
    for name, result in results.items():
        size = (
            f", {result['megabytes']:.1f} MB, scores differ by at most {result['largest_difference']:.1e}"
            if name != "pytorch"
            else ""
        )
        print(f"{name:<8} mean QWK {result['mean_qwk']:.4f}, {result['essays_per_second']:.1f} essays/s{size}")
    print(f"Wrote {args.output_dir}")


if __name__ == "__main__":
    sys.exit(run(main))
