"""Where scored essays come from."""
