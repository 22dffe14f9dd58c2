"""The COCO toolkit's tokenizer and its caption metrics over lists of tokens, without Java and without torch.

Figures to publish are of the tokens of `ptb_tokenize_lines`; `tokenize` is for a model's vocabulary.
"""

from __future__ import annotations

from capcli.metrics.bleu import bleu
from capcli.metrics.cider import CiderD, corpus_cider_d
from capcli.metrics.ptb.tokenizer import ptb_tokenize, ptb_tokenize_lines
from capcli.metrics.rouge import rouge_l
from capcli.words.tokens import detokenize, tokenize

__all__ = [
    "CiderD",
    "bleu",
    "corpus_cider_d",
    "detokenize",
    "ptb_tokenize",
    "ptb_tokenize_lines",
    "rouge_l",
    "tokenize",
]
