"""A model to go on from: another model that knows more words, with an encoder that remembers what it was trained from.

usage: python benchmarks/graft.py MODEL --encoder-weights FILE --data DATASET [--data DATASET ...] -o GRAFT
       [--block 6] [--share 0.4] [--min-count 3]

GRAFT has the decoder of MODEL, whose vocabulary grows by the words that occur at least MIN-COUNT times in the training
captions. Its encoder's blocks below BLOCK are those of the weights that MODEL's encoder was trained from; above, the
weights are mixed, SHARE of them those it was trained from (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
models"). Go on from it with `capcli train base --from GRAFT --encoder-weights FILE --data ...`.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("model")
    parser.add_argument("--encoder-weights", required=True, metavar="FILE")
    parser.add_argument("--data", action="append", required=True, type=Path, metavar="DATASET")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="GRAFT")
    parser.add_argument("--block", type=int, default=6)
    parser.add_argument("--share", type=float, default=0.4)
    parser.add_argument("--min-count", type=int, default=3)
    options = parser.parse_args()

    import torch

    from capcli.datasets import read_dataset
    from capcli.errors import CapcliError
    from capcli.model.encoder import Encoder
    from capcli.model.network import CaptioningModel, ModelConfig
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model
    from capcli.training.corpus import Corpus
    from capcli.training.recipe import DataRecipe

    torch.manual_seed(1)
    try:
        checkpoint = Checkpoint.load(find_model(options.model))
        recipe = DataRecipe(min_count=options.min_count, hold_out=checkpoint.held_out, max_length=24)
        corpus = Corpus.build([read_dataset(path) for path in options.data], recipe)
        former = checkpoint.model.float()
        begun_from = Encoder(former.config.encoder)
        begun_from.load_pretrained(options.encoder_weights)
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    config = ModelConfig(former.config.encoder, former.config.decoder)
    model = CaptioningModel(config, corpus.vocabulary(options.min_count))

    # Blocks of an EfficientNet are the children of its trunk, so a name begins with the number of its block.
    before, now = begun_from.state_dict(), former.encoder.state_dict()
    for name, value in now.items():
        below = int(name.split(".")[1]) < options.block
        now[name] = before[name] if below else torch.lerp(value, before[name], options.share)
    model.encoder.load_state_dict(now)

    known = {word: index for index, word in enumerate(former.vocabulary.words)}
    learnt = former.decoder.state_dict()
    fresh = model.decoder.state_dict()
    # A new word begins as a faint one that is said less than any known, or the first steps would say little else.
    fresh["embedding.weight"] *= 0.5
    fresh["bias"].fill_(float(learnt["bias"].min()) - 1)
    kept = [(place, known[word]) for place, word in enumerate(model.vocabulary.words) if word in known]
    places, sources = (torch.tensor(column) for column in zip(*kept, strict=True))
    for name, value in learnt.items():
        if name in ("embedding.weight", "bias"):
            fresh[name][places] = value[sources]
        else:
            fresh[name] = value
    model.decoder.load_state_dict(fresh)
    print(f"{len(kept):,} of {len(model.vocabulary):,} words are known already")
    # In float32, so that the blocks below are the weights it was trained from to the last bit.
    Checkpoint(model, checkpoint.options, {}, {}, held_out=checkpoint.held_out).save(options.output, torch.float32)


if __name__ == "__main__":
    main()
