"""The five-fold ASAP benchmark: recipes, controls and peers under the published protocol."""
