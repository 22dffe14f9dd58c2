"""A tiny model of each family of Hugging Face captioners, with random weights, saved as real checkpoints are.

Its tokenizer is made here of a few sentences. What is loaded from such a folder goes the whole way of a real one.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SENTENCES = (
    "a dog runs on the grass with a ball",
    "two women are riding horses near the water",
    "the man's friend doesn't look at the red car",
    "describe this picture in one sentence for people who cannot see it",
    "a young girl is playing in the sand, and her brother is sleeping",
)

SIDE = 32


def save_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Saves a tiny model of a family, given by its `model_type`, into a folder, and says where that is."""
    import torch

    torch.manual_seed(seed)
    model, parts = _BUILDERS[family]()
    with torch.no_grad():
        source = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            # Large enough for each part to matter to what comes out.
            parameter.normal_(0, 0.5 if parameter.ndim > 1 else 0.1, generator=source)
    model.eval().save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def families() -> Iterator[str]:
    """Every family that there is a tiny model of."""
    yield from _BUILDERS


def _word_pieces() -> Any:
    """A tokenizer as BERT's, in which long words are several pieces."""
    from transformers import BertTokenizer

    words = dict.fromkeys(word for line in SENTENCES for word in line.replace("'", " ' ").replace(",", " ,").split())
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    short = [word for word in words if len(word) <= 4]
    pieces = ["##s", "##es", "##ing", "##en", *(f"##{letter}" for letter in letters)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *short, *pieces]
    return BertTokenizer(vocab={word: place for place, word in enumerate(dict.fromkeys(vocabulary))})


def _byte_pairs(*specials: str, **named: object) -> Any:
    """A tokenizer as GPT-2's, trained on the sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=160,
        special_tokens=["<pad>", "<s>", "</s>", *specials],
        initial_alphabet=[*string.ascii_letters, *string.digits, *"Ġ'.,:\n"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    known = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**known, **named})


def _blip() -> tuple[Any, list[Any]]:
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    tokenizer = _word_pieces()
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64, "bos_token_id": 2,
        "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0, "projection_dim": 16,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))
    return model, [BlipProcessor(BlipImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer)]


def _git() -> tuple[Any, list[Any]]:
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    tokenizer = _word_pieces()
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    config = GitConfig(
        vision_config=vision, vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return GitForCausalLM(config), [GitProcessor(images, tokenizer)]


def _vit_gpt2() -> tuple[Any, list[Any]]:
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
    )

    tokenizer = _byte_pairs()
    vision = ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=8
    )
    text = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2,
        pad_token_id=0, is_decoder=True, add_cross_attention=True,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model = VisionEncoderDecoderModel(config=config)
    model.generation_config.decoder_start_token_id = 1
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0, num_beams=4)
    return model, [ViTImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer]


def _blip2() -> tuple[Any, list[Any]]:
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
    )

    # Its processor takes a tokenizer that has no name for this token.
    tokenizer = _byte_pairs("<image>")
    config = Blip2Config(
        vision_config=Blip2VisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=SIDE,
            patch_size=8,
        ).to_dict(),
        qformer_config=Blip2QFormerConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, encoder_hidden_size=16
        ).to_dict(),
        text_config=OPTConfig(
            vocab_size=len(tokenizer), hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=96, word_embed_proj_dim=16, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        ).to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    model = Blip2ForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    images = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    return model, [Blip2Processor(images, tokenizer, num_query_tokens=4)]


def _florence() -> tuple[Any, list[Any]]:
    from transformers import (
        BartConfig,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )
    from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

    tokenizer = _byte_pairs("<image>", extra_special_tokens={"image_token": "<image>"})
    vision = Florence2VisionConfig(
        embed_dim=[8, 8, 8, 16], num_heads=[1, 1, 1, 2], num_groups=[1, 1, 1, 2], depths=[1, 1, 1, 1], window_size=2,
        projection_dim=16, max_temporal_embeddings=4, max_position_embeddings=8,
    )  # fmt: skip
    text = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=128,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, decoder_start_token_id=2, forced_bos_token_id=1,
    )  # fmt: skip
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = Florence2Config(text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_id=image)
    model = Florence2ForConditionalGeneration(config)
    model.generation_config.update(
        bos_token_id=1, eos_token_id=2, pad_token_id=0, decoder_start_token_id=2, forced_bos_token_id=1, num_beams=3
    )
    side = 2 * SIDE
    images = CLIPImageProcessor(size={"height": side, "width": side}, do_center_crop=False)
    # Of each picture there are 2 x 2 regions, and before them one for the whole.
    images.image_seq_length = 5
    return model, [Florence2Processor(images, tokenizer, num_additional_image_tokens=1)]


def _siglip() -> dict[str, Any]:
    return {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip


def _llama(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256, "head_dim": 8,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip


_CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def _smolvlm() -> tuple[Any, list[Any]]:
    from transformers import (
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = _byte_pairs(
        "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
        extra_special_tokens={
            "image_token": "<image>", "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>",
        },
    )  # fmt: skip
    config = SmolVLMConfig(
        vision_config=_siglip(), text_config=LlamaConfig(**_llama(tokenizer)), scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=0,
    )  # fmt: skip
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    images = SmolVLMImageProcessor(size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE})
    video = SmolVLMVideoProcessor(size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE})
    template = _CHAT.replace("IMAGE", "<image>")
    return model, [SmolVLMProcessor(images, tokenizer, video, image_seq_len=4, chat_template=template)]


def _paligemma() -> tuple[Any, list[Any]]:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
    )

    tokenizer = _byte_pairs("<image>", extra_special_tokens={"image_token": "<image>"})
    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, tokenizer)
    config = PaliGemmaConfig(
        vision_config={
            **_siglip(), "model_type": "siglip_vision_model", "projection_dim": 16, "vision_use_head": False
        },
        text_config=GemmaConfig(**_llama(tokenizer)).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), projection_dim=16, hidden_size=16,
    )  # fmt: skip
    model = PaliGemmaForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return model, [processor]


def _qwen(kind: str) -> tuple[Any, list[Any]]:
    import transformers

    specials = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = _byte_pairs(
        *specials, extra_special_tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    )
    ids = dict(
        zip(
            ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id"),
            tokenizer.convert_tokens_to_ids(list(specials)),
            strict=True,
        )
    )
    vision = {
        "Qwen2VL": {"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4},
        "Qwen2_5_VL": {
            "depth": 1, "hidden_size": 16, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 32,
            "patch_size": 4, "window_size": 16, "fullatt_block_indexes": [0],
        },
        "Qwen3VL": {
            "depth": 2, "hidden_size": 16, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 32,
            "patch_size": 4, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
    }[kind]  # fmt: skip
    text = _llama(tokenizer) | {
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }
    config = getattr(transformers, f"{kind}Config")(text_config=text, vision_config=vision, **ids)
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=True, temperature=0.1)
    size = {"shortest_edge": 8 * 8, "longest_edge": 32 * 32}
    images = transformers.Qwen2VLImageProcessor(patch_size=4, size=size)
    video = transformers.Qwen2VLVideoProcessor(patch_size=4)
    template = _CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    return model, [getattr(transformers, f"{kind}Processor")(images, tokenizer, video, chat_template=template)]


def _lfm2() -> tuple[Any, list[Any]]:
    from transformers import (
        Lfm2Config,
        Lfm2VlConfig,
        Lfm2VlForConditionalGeneration,
        Lfm2VlImageProcessor,
        Lfm2VlProcessor,
    )

    specials = ("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>")
    names = ("image_token", "image_start_token", "image_end_token", "image_thumbnail")
    tokenizer = _byte_pairs(*specials, extra_special_tokens=dict(zip(names, specials, strict=True)))
    vision = {
        "model_type": "siglip2_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "patch_size": 8, "num_patches": 16,
    }  # fmt: skip
    text = Lfm2Config(
        **{**_llama(tokenizer), "layer_types": ["conv", "full_attention"], "block_multiple_of": 8, "conv_L_cache": 3}
    )
    config = Lfm2VlConfig(
        vision_config=vision, text_config=text.to_dict(), image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        downsample_factor=2, projector_hidden_size=16,
    )  # fmt: skip
    model = Lfm2VlForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    images = Lfm2VlImageProcessor(
        encoder_patch_size=8, tile_size=SIDE, min_image_tokens=1, max_image_tokens=4, max_num_patches=16
    )
    return model, [Lfm2VlProcessor(images, tokenizer, chat_template=_CHAT.replace("IMAGE", "<image>"))]


_BUILDERS: dict[str, Callable[[], tuple[Any, list[Any]]]] = {
    "blip": _blip,
    "git": _git,
    "vision-encoder-decoder": _vit_gpt2,
    "blip-2": _blip2,
    "florence2": _florence,
    "smolvlm": _smolvlm,
    "paligemma": _paligemma,
    "qwen2_vl": lambda: _qwen("Qwen2VL"),
    "qwen2_5_vl": lambda: _qwen("Qwen2_5_VL"),
    "qwen3_vl": lambda: _qwen("Qwen3VL"),
    "lfm2_vl": _lfm2,
}
