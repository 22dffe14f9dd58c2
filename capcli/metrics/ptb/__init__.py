"""The Penn Treebank tokenizer of the COCO caption toolkit, without Java."""

from __future__ import annotations

from capcli.metrics.ptb.tokenizer import ptb_tokenize, ptb_tokenize_lines

__all__ = ["ptb_tokenize", "ptb_tokenize_lines"]
