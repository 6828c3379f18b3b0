"""What a training run and an evaluation leave on record beside their other files."""

import contextlib
from importlib.metadata import PackageNotFoundError, version

RUN_RECORD_NAME = "run.json"
EVALUATION_NAME = "evaluation.json"
RECORDED_PACKAGES = (
    "trm-aes",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "evaluate",
    "huggingface_hub",
    "safetensors",
    "tokenizers",
    "scikit-learn",
    "numpy",
)


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a result, for the record beside it."""
    versions = {}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
