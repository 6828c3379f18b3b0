"""From a source of scored essays to a tokenized data set: sources, splits, builder."""
