"""What capcli costs around a captioner of Hugging Face: its images per second beside those of a plain script.

usage: python benchmarks/hf_overhead.py [--model NAME] [--pictures N] [--batch-size N] [--rounds N] [--words N]

Makes a model of random weights, of the shape of blip-base, blip-small, git-base or vit-gpt2, loads it once, and takes
turns, in one process, on the same photographs of 640 x 480, with the same batches, precision and greedy search, between

  plain   Pillow opens a batch, the checkpoint's processor prepares it, `generate`, `batch_decode`; a JSON row each
  capcli  what `capcli caption FOLDER -o rows.jsonl` does, its reading processes included, the model loaded

and prints images per second of both in every round, which of them begins changing from round to round, and the median
of the rounds' shares. Every word is a token of the model, so that both decode as many. torch uses as many threads as
it chooses; set OMP_NUM_THREADS to change it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"

from machine import describe
from photographs import make_photographs

if TYPE_CHECKING:
    from capcli.huggingface.captioner import HuggingFaceCaptioner

MODELS = ("blip-base", "blip-small", "git-base", "vit-gpt2")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--model", choices=MODELS, default="blip-base")
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()

    from capcli.huggingface.captioner import HuggingFaceCaptioner

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "photographs").mkdir()
        make_photographs(home / "photographs", options.pictures)
        pictures = sorted((home / "photographs").iterdir())
        captioner = HuggingFaceCaptioner.load(save(options.model, home / "model"))
        count = sum(parameter.numel() for parameter in captioner.model.parameters()) / 1e6
        description = f"{options.model}, {count:.0f} M parameters, {captioner.precision}"
        print(f"{description}, {len(pictures)} photographs, batches of {options.batch_size}")
        turns = {"plain": caption_plainly, "capcli": caption_by_capcli}
        shares = []
        for number in range(-1, options.rounds):  # the first round warms up
            taken = {}
            for name in (list(turns), list(turns)[::-1])[number % 2]:
                start = time.perf_counter()
                turns[name](captioner, pictures, home / f"{name}.jsonl", options)
                taken[name] = time.perf_counter() - start
            if number >= 0:
                shares.append(taken["plain"] / taken["capcli"])
                rates = ", ".join(f"{name} {len(pictures) / seconds:.2f} images/s" for name, seconds in taken.items())
                print(f"round {number + 1}: {rates}, share {shares[-1]:.3f}")
        print(f"median share {statistics.median(shares):.3f}, from {min(shares):.3f} to {max(shares):.3f}")


def save(name: str, folder: Path) -> Path:
    """Saves a model of random weights whose tokens all are words."""
    import torch

    torch.manual_seed(0)
    model, parts = make_vit_gpt2() if name == "vit-gpt2" else make_git() if name == "git-base" else make_blip(name)
    for part in (model, *parts):
        part.save_pretrained(folder)
    return folder


def make_blip(name: str) -> tuple[Any, list[Any]]:
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    width, layers = (768, 12) if name == "blip-base" else (384, 6)
    tokenizer = make_tokenizer(30_524)
    shape = {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
    }  # fmt: skip
    text = {
        **shape, "vocab_size": len(tokenizer), "encoder_hidden_size": width, "bos_token_id": 2, "sep_token_id": 3,
        "eos_token_id": 3, "pad_token_id": 0,
    }  # fmt: skip
    config = BlipConfig(text_config=text, vision_config={**shape, "image_size": 384, "patch_size": 16})
    images = BlipImageProcessor(size={"height": 384, "width": 384})
    return BlipForConditionalGeneration(config), [BlipProcessor(images, tokenizer)]


def make_git() -> tuple[Any, list[Any]]:
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    tokenizer = make_tokenizer(30_522)
    config = GitConfig(vocab_size=len(tokenizer), bos_token_id=2, eos_token_id=3, pad_token_id=0)
    return GitForCausalLM(config), [GitProcessor(CLIPImageProcessor(), tokenizer)]


def make_vit_gpt2() -> tuple[Any, list[Any]]:
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
    )

    tokenizer = make_tokenizer(50_257)
    text = GPT2Config(vocab_size=len(tokenizer), bos_token_id=2, eos_token_id=3, pad_token_id=0)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(), text)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    model = VisionEncoderDecoderModel(config=config)
    model.generation_config.update(decoder_start_token_id=2, bos_token_id=2, eos_token_id=3, pad_token_id=0)
    return model, [ViTImageProcessor(), tokenizer]


def make_tokenizer(count: int) -> Any:
    """BERT's kind, of as many tokens as the family's checkpoints have; each that is not special is a word."""
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(count - 5))]
    return BertTokenizer(vocab={word: place for place, word in enumerate(words)})


def caption_plainly(
    captioner: HuggingFaceCaptioner, pictures: Sequence[Path], rows: Path, options: argparse.Namespace
) -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer

    folder, model = captioner.repository.folder, captioner.model
    processor, tokenizer = AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with rows.open("w", encoding="utf-8") as file, torch.inference_mode():
        for start in range(0, len(pictures), options.batch_size):
            batch = pictures[start : start + options.batch_size]
            images = [Image.open(path).convert("RGB") for path in batch]
            inputs = processor(images=images, return_tensors="pt").to(model.device, model.dtype)
            # A word too many tells capcli that a caption is to be cut.
            generated = model.generate(**inputs, max_new_tokens=options.words + 1, num_beams=1, do_sample=False)
            for path, text in zip(batch, tokenizer.batch_decode(generated, skip_special_tokens=True), strict=True):
                file.write(json.dumps({"path": str(path), "caption": text}) + "\n")


def caption_by_capcli(
    captioner: HuggingFaceCaptioner, pictures: Sequence[Path], rows: Path, options: argparse.Namespace
) -> None:
    from capcli.model.options import ModelOptions
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.runs.session import Session
    from capcli.runs.writing import WriteCaptions

    place = ModelOptions(model=str(captioner.repository.folder), batch_size=options.batch_size)
    to = OutputOptions(output=rows, overwrite=True)
    with (
        Outputs(to, sys.stdout.buffer, Path()) as outputs,
        Session(place, {"max_length": options.words}, load=lambda _: captioner) as session,
    ):
        tally = session.run(WriteCaptions(outputs), pictures)
    if tally.captioned != len(pictures):
        raise SystemExit(f"capcli captioned {tally.captioned} of {len(pictures)} photographs")


if __name__ == "__main__":
    main()
