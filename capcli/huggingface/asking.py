"""What a model is given: prepared pictures and what it is asked, as tensors; and how it computes from them.

A family's decoder begins with `head`: a start token, the words of a prefix, or the whole prompt with the picture in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from capcli.arrays import UInt8Array
from capcli.huggingface.loading import Loaded

ENCODED = ("vision-encoder-decoder", "florence2")
"""Families, by `model_type`, whose decoder reads the picture by cross-attention from an encoder of their own."""


@dataclass(frozen=True)
class Asked:
    """B pictures, as a model takes them.

    Attributes:
        inputs: tensors by their names in the model's `forward`.
        head: B x H tokens that the decoder begins with.
        begin: how many of them are no part of the caption; the rest is its prefix.
    """

    inputs: Mapping[str, Tensor]
    head: Tensor
    begin: int

    def repeated(self, times: int) -> Asked:
        """The same with every picture several times, one after another."""
        if times == 1:
            return self
        # Some families have rows of patches in the place of pictures, all of one shape.
        inputs = {
            name: torch.cat([part for part in tensor.chunk(len(self.head)) for _ in range(times)])
            for name, tensor in self.inputs.items()
        }
        return Asked(inputs, self.head.repeat_interleave(times, 0), self.begin)


class Asking:
    """Makes what a model is given.

    Args:
        loaded: the model.
        kind: its family's `model_type`.
        processing: options of its preparation of pictures.
    """

    def __init__(self, loaded: Loaded, kind: str, processing: Mapping[str, object]) -> None:
        self._loaded, self._kind, self._processing = loaded, kind, dict(processing)

    def ask(self, arrays: UInt8Array, prompt: str | None, chats: bool, prefix: str) -> Asked:
        """What the model is given for uint8 B x H x W x 3 pictures of one shape, B above 0.

        Args:
            arrays: the pictures.
            prompt: what the model is asked; None for a family that is asked nothing.
            chats: whether that goes through its chat template.
            prefix: the words that captions begin with, of a family that can be made to.
        """
        loaded, model = self._loaded, self._loaded.model
        pictures = list(torch.from_numpy(arrays).permute(0, 3, 1, 2))
        how = {**self._processing, "input_data_format": "channels_first", "return_tensors": "pt"}
        if prompt is None:
            prepared = loaded.images(images=pictures, **how)
        else:
            text, nested = self._text(prompt, chats)
            prepared = loaded.processor(
                text=[text] * len(pictures), images=[[picture] for picture in pictures] if nested else pictures, **how
            )
            prepared.pop("labels", None)
        inputs = {
            name: tensor.to(model.device, loaded.dtype if tensor.is_floating_point() else None)
            for name, tensor in prepared.items()
        }
        begin, head = self._head(inputs, prefix)
        return Asked(inputs, head.to(model.device).expand(len(pictures), -1), begin)

    def _text(self, prompt: str, chats: bool) -> tuple[str, bool]:
        """The text that holds the prompt, and whether each picture goes in a list of its own."""
        processor = self._loaded.processor
        if chats:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            template = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            return template, True
        if self._kind == "paligemma":
            return f"{processor.image_token}{prompt}", False
        return prompt, False

    def _head(self, inputs: dict[str, Tensor], prefix: str) -> tuple[int, Tensor]:
        """How many tokens the decoder begins with that are no part of the caption, and 1 x H or B x H tokens."""
        tokenizer, config = self._loaded.tokenizer, self._loaded.model.config
        if self._kind in ("blip", "git"):
            start = config.text_config.bos_token_id if self._kind == "blip" else tokenizer.cls_token_id
            return 1, torch.tensor([[start, *tokenizer(prefix, add_special_tokens=False).input_ids]])
        if self._kind in ENCODED:
            generation = self._loaded.model.generation_config
            starts = (
                generation.decoder_start_token_id,
                getattr(config, "decoder_start_token_id", None),
                getattr(config.get_text_config(decoder=True), "decoder_start_token_id", None),
                generation.bos_token_id,
            )
            return 1, torch.tensor([[next(token for token in starts if token is not None)]])
        head = inputs["input_ids"]
        return head.shape[1], head


def generate(loaded: Loaded, kind: str, asked: Asked, **how: Any) -> Any:
    """What transformers' `generate` gives for pictures."""
    inputs = dict(asked.inputs)
    if kind == "blip":
        # It takes the head with an end behind it, and takes that off again.
        inputs["input_ids"] = torch.cat([asked.head, asked.head[:, :1]], 1)
    elif kind == "git":
        inputs["input_ids"] = asked.head.contiguous()
    elif kind in ENCODED:
        inputs["decoder_input_ids"] = asked.head.contiguous()
    return loaded.model.generate(**inputs, **how)


def force(
    loaded: Loaded, kind: str, asked: Asked, ids: Tensor, mask: Tensor, *, attentions: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One pass over given tokens.

    Args:
        loaded: the model.
        kind: its family's `model_type`.
        asked: B pictures.
        ids: B x L tokens, the head first.
        mask: B x L, 0 where there is only padding.
        attentions: also give the cross-attention.

    Returns:
        logits B x L x V, and of each layer the cross-attention, B x heads x L x keys; none of other families.
    """
    model, inputs = loaded.model, dict(asked.inputs)
    more: dict[str, Any] = {"output_attentions": attentions, "return_dict": True}
    if kind == "blip":
        encoded = model.vision_model(pixel_values=inputs["pixel_values"])[0]
        output = model.text_decoder(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=encoded, use_cache=False, **more
        )
        return output.logits, tuple(output.cross_attentions or ()) if attentions else ()
    if kind in ENCODED:
        output = model(**inputs, decoder_input_ids=ids, decoder_attention_mask=mask, use_cache=False, **more)
        return output.logits, tuple(output.cross_attentions or ()) if attentions else ()
    # The types of tokens: a caption's are text, and follow what they are an answer to.
    answer = ids.shape[1] - asked.head.shape[1]
    for name, value in {"token_type_ids": 1, "mm_token_type_ids": 0}.items():
        if name in inputs:
            inputs[name] = torch.nn.functional.pad(inputs[name], (0, answer), value=value)
    inputs |= {"input_ids": ids, "attention_mask": mask}
    # GIT puts its picture before the tokens, and has logits of that, too.
    return model(**inputs, use_cache=False, return_dict=True).logits[:, -ids.shape[1] :], ()
