"""`trm-aes score` with small windows, started by torchrun in test_stream.py. Names the windows that it scores; a process
whose rank is in LOST_RANK dies over its second one."""

import os

import trm_aes.scoring.stream
from trm_aes.cli import score
from trm_aes.scoring.parts import ScoringParts

trm_aes.scoring.stream.WINDOW = 6
save = ScoringParts.save
saved = []


def save_or_die(self, window, scores):
    if os.environ.get("LOST_RANK") == os.environ["RANK"] and saved:
        os._exit(1)
    save(self, window, scores)
    saved.append(window)
    print(f"window {window} by {os.environ['RANK']}", flush=True)


ScoringParts.save = save_or_die
score.main()
