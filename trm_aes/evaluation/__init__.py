"""Agreement between a scorer and people, and the calibration that rests on it."""
