"""A model whose encoder remembers more: a share of the weights that it was trained from, mixed into it.

usage: python benchmarks/restore.py MODEL --encoder-weights FILE --share 0.2 -o OUT.safetensors [--matcher MODEL]

The mean of weights before and after fine-tuning keeps most of what was learnt and gives back much of what was forgotten
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). A stage of a recipe does the same before it trains on
(`restore`). --matcher takes over the matcher of another model with the same words.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("model")
    parser.add_argument("--encoder-weights", required=True, metavar="FILE")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--matcher", metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT")
    options = parser.parse_args()

    import torch

    from capcli.errors import CapcliError, UsageError
    from capcli.model.encoder import Encoder
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model

    try:
        if not 0 <= options.share <= 1:
            raise UsageError("--share is a number from 0 to 1")
        checkpoint = Checkpoint.load(find_model(options.model))
        model = checkpoint.model.float()
        begun_from = Encoder(model.config.encoder)
        begun_from.load_pretrained(options.encoder_weights)
        with torch.no_grad():
            for parameter, before in zip(model.encoder.parameters(), begun_from.parameters(), strict=True):
                parameter.lerp_(before, options.share)
        if options.matcher:
            giver = Checkpoint.load(find_model(options.matcher)).model
            matcher = giver.config.matcher
            if matcher is None or giver.vocabulary.words != model.vocabulary.words:
                raise UsageError(f"{options.matcher}: has no matcher for the words of {options.model}")
            model.add_matcher(matcher)
            model.matcher.load_state_dict(giver.matcher.float().state_dict())  # type: ignore[union-attr]
        # What it scored, and how sure it may be, it has to be asked anew.
        dataclasses.replace(checkpoint, scores={}, calibration=None).save(options.output, torch.float32)
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
