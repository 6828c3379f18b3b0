"""One training run: options and recipe, the untrained model, the trainer, and what is fitted before and after it."""
