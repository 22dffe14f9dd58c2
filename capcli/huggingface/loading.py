"""A checkpoint of Hugging Face, loaded: safetensors alone, no code of its own, and nothing from the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from capcli.errors import CapcliError, ModelError, UsageError
from capcli.hub.repository import Repository, go_offline
from capcli.model.device import bfloat16_pays, out_of_memory


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint is in memory.

    Attributes:
        model: in evaluation mode, on its device, without gradients.
        processor: prepares pictures and prompts; None for a family without one.
        tokenizer: of its words.
        images: prepares pictures alone.
        dtype: that the model computes with.
    """

    model: Any
    processor: Any
    tokenizer: Any
    images: Any
    dtype: torch.dtype


def load(repository: Repository, device: torch.device) -> Loaded:
    """Loads a checkpoint.

    The precision is always said: bfloat16 where the hardware multiplies it, float32 elsewhere. A checkpoint's own, left
    alone, would have a plain processor emulate half precision, which takes hundreds of times as long.

    Raises:
        UsageError: if transformers is not installed.
        ModelError: if the checkpoint cannot be used.
        CapcliError: if it does not fit into memory.
    """
    go_offline()
    try:
        from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, logging
    except ImportError as error:
        raise UsageError(
            f'{repository.name} needs transformers 5.20 or newer: pip install "capcli[hf]" ({error})'
        ) from None
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder, dtype = str(repository.folder), torch.bfloat16 if bfloat16_pays(device) else torch.float32
    safe: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        if repository.family.apart:
            processor, tokenizer = None, AutoTokenizer.from_pretrained(folder, **safe)
            images = AutoImageProcessor.from_pretrained(folder, **safe)
        else:
            processor = AutoProcessor.from_pretrained(folder, **safe)
            tokenizer, images = processor.tokenizer, processor.image_processor
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **safe
        )
        lacking = [*report["missing_keys"], *report["mismatched_keys"]]
        if lacking:
            raise ValueError(f"its weights lack {lacking[0]}, or have another shape of it; {len(lacking)} such")
        return Loaded(model.eval().requires_grad_(False).to(device), processor, tokenizer, images, dtype)
    except Exception as error:  # transformers raises nearly every type on what does not fit together
        if out_of_memory(error):
            raise CapcliError(f"not enough memory for {repository.name}; take a smaller model") from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{repository.name} cannot be loaded from {folder} ({reason})") from None
