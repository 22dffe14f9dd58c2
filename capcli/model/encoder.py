"""From pictures to regions: any torchvision trunk with its batch norm folded away."""

from __future__ import annotations

import copy
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import get_model, list_models

from capcli.errors import ModelError, UsageError
from capcli.model.depthwise import DepthwiseConv2d

LARGEST_INPUT = 2048
"""Longest side of an encoder's input in pixels."""


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is built from.

    Attributes:
        name: a torchvision classification model whose convolutional trunk is used.
        size: side of the square input in pixels.
        mean: per-channel mean of the input on a scale of 0 to 1, subtracted first.
        std: per-channel standard deviation, divided by next.
    """

    name: str = "efficientnet_b4"
    size: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """A torchvision trunk that turns B x 3 x S x S pictures into B x R x D regions, R = rows * columns.

    Attributes:
        config: what it is built from.
        width: D.
        grid: rows and columns.
        box: left, top, right and bottom of the grid of regions, as shares of the picture, so that each region is in
            the middle of its cell. Most trunks look at places half a region left of and above where an even division
            of the picture would have them, so the box begins outside the picture.

    Batch norm keeps its ImageNet statistics and is folded into the convolutions, also for fine-tuning: small
    batches would spoil the statistics, and a folded trunk is faster both ways.

    Raises:
        UsageError: for a name that torchvision does not have, or a model without a convolutional trunk.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = _folded(_trunk(_torchvision_model(config.name, None)))
        # A copy without storage tells the shape of the output in no time.
        twin, image = copy.deepcopy(self.trunk).to("meta"), torch.empty(1, 3, config.size, config.size, device="meta")
        strides = _Strides(twin, config.size)
        shape = twin(image).shape
        self.width = int(shape[1])
        self.grid = (int(shape[2]), int(shape[3]))
        self.box = strides.box(self.grid)

    def load_pretrained(self, source: str) -> None:
        """Loads ImageNet weights.

        Args:
            source: `imagenet` for torchvision's own (needs the network once), or a safetensors file with the
                names of the torchvision model; a classifier may be absent.

        Raises:
            ModelError: if the file is missing, broken or of another model.
        """
        if source == "imagenet":
            try:
                model = _torchvision_model(self.config.name, "DEFAULT")
            except (OSError, RuntimeError) as error:
                hint = "give --encoder-weights FILE.safetensors"
                raise ModelError(f"cannot download the weights of {self.config.name} ({error}); {hint}") from None
        else:
            model = _torchvision_model(self.config.name, None)
            _load_file_into(model, Path(source), self.config.name)
        self.trunk.load_state_dict(_folded(_trunk(model)).state_dict())

    def train_from(self, block: int | None) -> None:
        """Freezes the trunk below `block`; None freezes all of it."""
        for index, module in enumerate(self.trunk):
            module.requires_grad_(block is not None and index >= block)

    def train(self, mode: bool = True) -> Encoder:
        """Switches stochastic depth on, in the blocks that are not frozen, or off; batch norm stays as it is."""
        super().train(mode)
        for block in self.trunk:
            block.train(mode and any(parameter.requires_grad for parameter in block.parameters()))
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Encodes B x 3 x S x S or B x S x S x 3 uint8 pictures, values 0 to 255, to B x R x D regions."""
        if images.shape[-1] == 3:
            images = images.permute(0, 3, 1, 2)
        mean = torch.tensor(self.config.mean, device=images.device).view(-1, 1, 1) * 255
        std = torch.tensor(self.config.std, device=images.device).view(-1, 1, 1) * 255
        dtype = next(self.trunk.parameters()).dtype
        images = ((images - mean) / std).to(dtype=dtype, memory_format=torch.channels_last)
        return self.trunk(images).flatten(2).transpose(1, 2)


class _Strides:
    """Where the outputs of a trunk have their centres in its input, followed through what reduces the resolution.

    A convolution or pooling of kernel k, padding p and stride s, over an input whose centres begin at c and are j
    apart, has outputs whose centres begin at c + ((k - 1) / 2 - p) j and are s j apart (Dumoulin and Visin 2016, "A
    guide to convolution arithmetic for deep learning"; Araujo, Norris and Sim 2019, "Computing receptive fields of
    convolutional neural networks", section 2). Branches side by side agree on that, so of several the first is taken.
    """

    def __init__(self, trunk: nn.Module, size: int) -> None:
        self._size = size
        self._reached: tuple[int, ...] = (size, size)
        self._first, self._apart = [0.0, 0.0], [1.0, 1.0]
        for module in trunk.modules():
            if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
                module.register_forward_hook(self._pass)

    def _pass(self, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        before, after = tuple(inputs[0].shape[-2:]), tuple(output.shape[-2:])
        if before != self._reached or after == before:
            return
        self._reached = after
        for axis in (0, 1):
            kernel, stride, padding, dilation = (
                value[axis] if isinstance(value, tuple) else value
                for value in (module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))
            )
            self._first[axis] += ((kernel - 1) * dilation / 2 - padding) * self._apart[axis]
            self._apart[axis] *= stride

    def box(self, grid: tuple[int, int]) -> tuple[float, float, float, float]:
        """As `Encoder.box`; the whole picture where the resolution was reduced by something else."""
        if self._reached != grid:
            return 0.0, 0.0, 1.0, 1.0
        # A pixel has its centre half a pixel into it.
        top, left = (
            (first + 0.5 - apart / 2) / self._size for first, apart in zip(self._first, self._apart, strict=True)
        )
        height, width = (count * apart / self._size for count, apart in zip(grid, self._apart, strict=True))
        return left, top, left + width, top + height


def _torchvision_model(name: str, weights: str | None) -> nn.Module:
    known = list_models(module=torchvision.models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 4)) or "see torchvision.models.list_models()"
        raise UsageError(f"no encoder named {name!r}; near it: {near}")
    return get_model(name, weights=weights).eval()


def _trunk(model: nn.Module) -> nn.Sequential:
    features = getattr(model, "features", None)
    # Swin transformers have features too, but with the channels last; `permute` sets them apart.
    if isinstance(features, nn.Sequential) and not hasattr(model, "permute"):
        return features
    stages = dict(model.named_children())
    if "layer4" in stages:
        stem = nn.Sequential(*(stages[name] for name in ("conv1", "bn1", "relu", "maxpool")))
        return nn.Sequential(stem, *(stages[f"layer{number}"] for number in (1, 2, 3, 4)))
    raise UsageError(f"{type(model).__name__} has no convolutional trunk; try efficientnet_b4 or resnet50")


def _folded(module: nn.Module) -> nn.Sequential:
    """Folds each batch norm into the convolution just before it and speeds up depthwise convolutions."""
    for parent in list(module.modules()):
        previous: tuple[str, nn.Conv2d] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                setattr(parent, previous[0], fuse_conv_bn_eval(previous[1], child))
                setattr(parent, name, nn.Identity())
            previous = (name, child) if isinstance(child, nn.Conv2d) else None
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and DepthwiseConv2d.suits(child):
                setattr(parent, name, DepthwiseConv2d.of(child))
    assert isinstance(module, nn.Sequential)
    return module.to(memory_format=torch.channels_last)


def _load_file_into(model: nn.Module, path: Path, name: str) -> None:
    try:
        tensors = {key: value.float() for key, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from None
    trunk_keys = {key for key in model.state_dict() if not key.startswith(("classifier.", "fc.", "avgpool."))}
    missing = {key for key in trunk_keys if not key.endswith("num_batches_tracked")} - tensors.keys()
    if missing:
        raise ModelError(f"{path}: not weights of {name}; {len(missing)} tensors missing, e.g. {min(missing)}")
    try:
        model.load_state_dict({k: v for k, v in tensors.items() if k in trunk_keys}, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{path}: does not fit {name}: {str(error).splitlines()[-1].strip()}") from None
