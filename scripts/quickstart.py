"""The whole path on a synthetic corpus: build, train, evaluate, score three essays, report. Run it with `make quickstart`."""

import csv
import sys
from importlib import resources
from pathlib import Path

from trm_aes.cli import build, evaluate, report, score, train
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run


def main(argv=None):
    parser = CommandParser(description=__doc__)
    parser.add_argument("--output-dir", default="runs/quickstart", type=Path)
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote")
    args = parser.parse_args(argv)
    data, model, scores = (str(args.output_dir / name) for name in ("data", "model", "scores.csv"))
    again = ["--overwrite"] if args.overwrite else []

    _step("1. Build a data set of synthetic essays")
    build.main(["--source", build.DEMO_SOURCE, "--output-dir", data, *again])
    _step("2. Train the tiny preset")
    train.main(["--data", data, "--recipe", "tiny", "--hardware", "cpu", "--output-dir", model, *again])
    _step("3. Evaluate on held-out essays")
    evaluate.main(["--model", model, "--data", data, "--split", "test", *again])
    _step("4. Score three new essays")
    with resources.as_file(resources.files("trm_aes.data.sources.demo") / "examples.jsonl") as examples:
        score.main(["--model", model, "--input", str(examples), "--output", scores, *again])
    with open(scores, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            print(
                f"{row['essay_id']:<8}score {float(row['predicted_score']):.2f}, rounded {row['rounded_score']} of 1-6, "
                f"confidence {float(row['confidence']):.2f}"
            )
    _step("5. Report on the scorer")
    # The demo has fewer essays in a group than a report of an administration asks for.
    report.main(["--model", model, "--data", data, "--split", "test", "--least-n", "40", *again])
    page = Path(model) / "report-test" / "report.html"
    print(f"\nThe model is in {model}, the scores are in {scores}. Open {page} in a browser.")
    print(f"To try the scorer on a page, run: {Path(sys.executable).with_name('trm-aes')} demo --model {model}")


def _step(title: str):
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
