"""Attacks on a scorer: essays changed in ways that an honest score does not reward, and what they do to the scores."""
