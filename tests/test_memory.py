"""A process that keeps freed memory does not ask the system for it again, unless the user has said what it is to do."""

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from trm_aes.memory import SETTINGS

# Frees 64 MB twenty times over; prints whether memory is kept, and how many pages it took from the system meanwhile.
PROBE = """
import resource, sys
from trm_aes.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    bytes(1 << 26)
before = faults()
for _ in range(20):
    bytearray(b"1") * (1 << 26)
print(kept, faults() - before)
"""
PAGES = (1 << 26) // resource.getpagesize()
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def probe(what, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", PROBE, what], capture_output=True, text=True, check=True, env={**clean, **environment}
    )
    kept, faults = run.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
@pytest.mark.skipif(
    HUGE_PAGES.exists() and "[always]" in HUGE_PAGES.read_text(), reason="huge pages are taken by the hundred"
)
def test_freed_memory_is_used_again_and_not_taken_anew():
    kept, faults = probe("keep")
    assert kept == "True"
    assert faults < 2 * PAGES
    # The check can fail: without it, each time is paid for.
    assert probe("leave")[1] > 10 * PAGES


@pytest.mark.parametrize("setting", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stands(setting):
    value = {"MALLOC_TRIM_THRESHOLD_": "131072", "GLIBC_TUNABLES": "glibc.malloc.check=0"}[setting]
    assert probe("keep", **{setting: value})[0] == "False"
