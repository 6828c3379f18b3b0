"""Tokens that repeat as words of essays do."""

import torch

# Places of BERT's vocabulary before which there are special tokens and single characters, and where it ends.
FIRST_WORD, VOCABULARY = 1_000, 30_522
# Of the law of Zipf and Mandelbrot. So an essay of 276 tokens has half as many distinct ones, and 8,192 tokens have 1,600; in
# ASAP 53 % and 1,300 to 1,550.
EXPONENT, OFFSET = 1.3, 2.7


def draw_words(*shape: int) -> torch.Tensor:
    """Random word pieces of BERT's vocabulary, as frequent as their rank: a `LongTensor` of this shape."""
    ranks = torch.arange(1, VOCABULARY - FIRST_WORD + 1)
    weights = (ranks + OFFSET) ** -EXPONENT
    drawn = torch.multinomial(weights, int(torch.tensor(shape).prod()), replacement=True)
    return FIRST_WORD + drawn.view(shape)
