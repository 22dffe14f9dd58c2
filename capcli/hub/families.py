"""Every family of Hugging Face captioners that capcli knows, and what one must know of it. Nothing here imports torch.

A checkpoint names its family as `model_type` in its config.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from capcli.errors import ModelError, UsageError

DESCRIBE = "Describe this picture in one short sentence."
"""What a chatting model is asked where nothing else is asked for."""

OPENINGS = (
    r"(?:sure|certainly|of course|here is)\b[^.:!]*[.:!]\s*",
    r"(?:in )?(?:the|this) (?:image|picture|photo|photograph|scene)(?:,| shows| depicts| features| captures| displays"
    r"| is of| presents| portrays| we (?:can )?see| there (?:is|are))\s+",
    r"(?:this|it) is (?:an?|the) (?:image|picture|photo|photograph) (?:of|showing)\s+",
    r"an? (?:image|picture|photo|photograph) (?:of|showing)\s+",
)
"""How a chatting model begins without having said anything of the picture; patterns, in lower case."""


@dataclass(frozen=True)
class Family:
    """What capcli must know of a family beside what its checkpoints say themselves.

    Attributes:
        name: as people call it.
        prompt: what it is asked by default; None for a family that is asked nothing.
        chats: whether the prompt goes through the checkpoint's chat template.
        begins: whether it can be made to begin its captions with given words.
        attends: whether its decoder has cross-attention to the picture, which maps can be made of.
        pieces: whether its tokenizer is BERT's, whose text has spaces around the signs of "man's" and "t-shirt".
        sentences: whether its captions are sentences with a capital and a full stop, and not words in lower case.
        openings: patterns of what is taken off the beginning of a caption.
        processing: options of the checkpoint's own preparation of pictures.
        longest: the longer side in pixels that a picture gets at most before that preparation, of a family that keeps
            proportions.
        apart: whether its checkpoints have a tokenizer and an image processor, and no processor that holds both.
        licence: of those checkpoints, as their cards named it in 2026; `pull` tells what the hub says now.
        checkpoints: examples, and their parameters in millions.
    """

    name: str
    prompt: str | None = None
    chats: bool = False
    begins: bool = False
    attends: bool = False
    pieces: bool = False
    sentences: bool = False
    openings: tuple[str, ...] = ()
    processing: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    longest: int = 1024
    apart: bool = False
    licence: str = ""
    checkpoints: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def methods(self) -> tuple[str, ...]:
        """By which methods it has heatmaps, see `capcli.attribution.methods`."""
        return ("gradient", "attention", "occlusion") if self.attends else ("occlusion",)


_CHATTING = Family("", DESCRIBE, chats=True, sentences=True, openings=OPENINGS)

# One tile is enough for a sentence; splitting would cost up to seventeen times as much, for small print.
_WHOLE = MappingProxyType({"do_image_splitting": False})


def _chatting(
    name: str,
    checkpoints: Mapping[str, int],
    processing: Mapping[str, object] = MappingProxyType({}),
    longest: int = 1024,
    licence: str = "Apache-2.0",
) -> Family:
    return dataclasses.replace(
        _CHATTING, name=name, checkpoints=checkpoints, processing=processing, longest=longest, licence=licence
    )


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "blip": Family(
            "BLIP",
            begins=True,
            attends=True,
            pieces=True,
            licence="BSD-3-Clause",
            checkpoints={"Salesforce/blip-image-captioning-base": 247, "Salesforce/blip-image-captioning-large": 470},
        ),
        "git": Family(
            "GIT",
            begins=True,
            pieces=True,
            licence="MIT",
            checkpoints={"microsoft/git-base-coco": 177, "microsoft/git-large-coco": 394},
        ),
        "vision-encoder-decoder": Family(
            "ViT-GPT2",
            attends=True,
            apart=True,
            licence="Apache-2.0",
            checkpoints={"nlpconnect/vit-gpt2-image-captioning": 239},
        ),
        "blip-2": Family("BLIP-2", "", licence="MIT", checkpoints={"Salesforce/blip2-opt-2.7b": 3745}),
        "florence2": Family(
            "Florence-2",
            "<CAPTION>",
            attends=True,
            sentences=True,
            openings=OPENINGS,
            licence="MIT",
            checkpoints={"florence-community/Florence-2-base": 231, "florence-community/Florence-2-large": 777},
        ),
        "smolvlm": _chatting("SmolVLM", {"HuggingFaceTB/SmolVLM2-500M-Video-Instruct": 507}, _WHOLE),
        "idefics3": _chatting("SmolVLM", {"HuggingFaceTB/SmolVLM-256M-Instruct": 256}, _WHOLE),
        "paligemma": Family(
            "PaliGemma", "caption en", licence="Gemma, gated", checkpoints={"google/paligemma-3b-mix-224": 2923}
        ),
        "qwen2_vl": _chatting("Qwen2-VL", {"Qwen/Qwen2-VL-2B-Instruct": 2209}, longest=640),
        "qwen2_5_vl": _chatting(
            "Qwen2.5-VL", {"Qwen/Qwen2.5-VL-3B-Instruct": 3755}, longest=640, licence="Qwen Research"
        ),
        "qwen3_vl": _chatting("Qwen3-VL", {"Qwen/Qwen3-VL-2B-Instruct": 2128}, longest=640),
        "lfm2_vl": _chatting("LFM2-VL", {"LiquidAI/LFM2-VL-450M": 451}, _WHOLE, licence="LFM Open License v1.0"),
    }
)
"""Families by the `model_type` of their checkpoints."""


def family_of(model: str, kind: object) -> Family:
    """The family of a `model_type`; raises ModelError for one that capcli does not know."""
    if isinstance(kind, str) and kind in FAMILIES:
        return FAMILIES[kind]
    names = ", ".join(dict.fromkeys(family.name for family in FAMILIES.values()))
    problem = f"is of the family {kind!r}" if isinstance(kind, str) else "does not say of which family it is"
    raise ModelError(f"{model} {problem}; capcli knows the captioners {names}")


def check_prompt(family: Family, model: str, prompt: str, prefix: str) -> None:
    """Raises UsageError for a prompt or a prefix that the family does not take."""
    if prompt and family.prompt is None:
        instead = "; --prefix gives the first words of its captions" if family.begins else ""
        raise UsageError(f"{family.name} is asked nothing, so leave --prompt out for {model}{instead}")
    if prefix and not family.begins:
        instead = "; --prompt says what it is asked" if family.prompt is not None else ""
        raise UsageError(f"{family.name} cannot be made to begin with given words; leave --prefix out{instead}")
