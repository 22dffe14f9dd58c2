"""The COCO toolkit's caption metrics over lists of tokens, without Java and without torch."""

from __future__ import annotations

from capcli.metrics.bleu import bleu
from capcli.metrics.cider import CiderD, corpus_cider_d
from capcli.metrics.rouge import rouge_l
from capcli.metrics.tokens import detokenize, tokenize

__all__ = ["CiderD", "bleu", "corpus_cider_d", "detokenize", "rouge_l", "tokenize"]
