"""From pictures to regions: any torchvision classification model, with its batch norm folded away."""

from __future__ import annotations

import copy
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import VisionTransformer, get_model, get_model_weights, list_models
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.vision_transformer import interpolate_embeddings

from capcli.errors import ModelError, UsageError
from capcli.model.depthwise import DepthwiseConv2d
from capcli.model.settings import LARGEST_INPUT, NO_ENCODER, size_option
from capcli.options import check, near_names, option

_NODE = "regions"


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is built from."""

    name: str = option(
        "efficientnet_b4",
        "A torchvision classification model, of which everything up to the last regions is used; or none.",
    )
    size: int = size_option(224, "Side of the square input in pixels.", most=LARGEST_INPUT)
    mean: tuple[float, float, float] = option(
        (0.485, 0.456, 0.406), "Mean of red, green and blue on a scale of 0 to 1, subtracted first."
    )
    std: tuple[float, float, float] = option(
        (0.229, 0.224, 0.225), "Standard deviation of red, green and blue, divided by next.", above=0.0
    )

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def of(cls, name: str, size: int) -> EncoderConfig:
        """The config of a model whose pictures are normalised as its official weights expect them.

        Raises:
            UsageError: for a name that torchvision does not have.
        """
        check_name(name)
        if name == NO_ENCODER:
            return cls(name, size)
        expected = get_model_weights(name)["DEFAULT"].transforms()
        return cls(name, size, tuple(expected.mean), tuple(expected.std))

    @property
    def sees(self) -> bool:
        """Whether there is an encoder; a language model has none."""
        return self.name != NO_ENCODER


class Encoder(nn.Module):
    """A torchvision trunk that turns B x 3 x S x S pictures into B x R x D regions, R = rows * columns.

    The regions are what the model averages or classifies in the end: the last feature map of a convolutional network
    or of a Swin transformer, the patches of a vision transformer without its class token.

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
        UsageError: for a name that torchvision does not have, or pictures of a size that the model cannot take.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk, self._opened = _trunk(_torchvision_model(config.name, config.size))
        self.width, self.grid, self.box = _measure(self.trunk, config.name, config.size)

    @property
    def blocks(self) -> list[nn.Module]:
        """Parts of the trunk from the picture on, which are frozen one by one."""
        return list(_opened(self.trunk, self._opened.split(".") if self._opened else []))

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
                # The download reports on stdout, where results go.
                with redirect_stdout(sys.stderr):
                    model = _torchvision_model(self.config.name, None, "DEFAULT")
            except (OSError, RuntimeError) as error:
                hint = "give --encoder-weights FILE.safetensors"
                raise ModelError(f"cannot download the weights of {self.config.name} ({error}); {hint}") from None
            state = model.state_dict()
        else:
            state = _read_tensors(Path(source))
            if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
                raise ModelError(f"{source}: holds weights that are not finite numbers; download or copy it again")
        model = _torchvision_model(self.config.name, self.config.size)
        _load_into(model, state, source, self.config.name)
        self.trunk.load_state_dict(_trunk(model)[0].state_dict())

    def train_from(self, block: int | None) -> None:
        """Freezes the trunk below `block`; None freezes all of it. What lies in no block goes with the first."""
        self.trunk.requires_grad_(block == 0)
        for module in [] if block is None else self.blocks[block:]:
            module.requires_grad_(True)

    def train(self, mode: bool = True) -> Encoder:
        """Switches stochastic depth on, in the blocks that are not frozen, or off; batch norm stays as it is."""
        super().train(mode)
        for block in self.blocks:
            block.train(mode and any(parameter.requires_grad for parameter in block.parameters()))
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Encodes B x 3 x S x S or B x S x S x 3 uint8 pictures, values 0 to 255, to B x R x D regions."""
        return _regions(self.trunk(self._normalize(images)))

    def encode_below(self, images: Tensor, block: int) -> Tensor:
        """What the blocks below `block` make of pictures as `forward` takes them: B x H x W x C.

        Raises:
            UsageError: for a trunk whose blocks do not follow each other alone, such as a vision transformer's.
        """
        features = self._normalize(images)
        for module in self._sequence()[:block]:
            features = module(features)
        return features.permute(0, 2, 3, 1)

    def encode_from(self, features: Tensor, block: int) -> Tensor:
        """B x R x D regions from what `encode_below` gave for the same block; raises UsageError as it does."""
        features = features.permute(0, 3, 1, 2)
        for module in self._sequence()[block:]:
            features = module(features)
        return _regions(features)

    def _sequence(self) -> nn.Sequential:
        if self._opened or not isinstance(self.trunk, nn.Sequential):
            raise UsageError(
                f"the blocks of {self.config.name} cannot be computed apart; set features = 'pictures' to fine-tune it"
            )
        return self.trunk

    def _normalize(self, images: Tensor) -> Tensor:
        if images.shape[-1] == 3:
            images = images.permute(0, 3, 1, 2)
        mean = torch.tensor(self.config.mean, device=images.device).view(-1, 1, 1) * 255
        std = torch.tensor(self.config.std, device=images.device).view(-1, 1, 1) * 255
        dtype = next(self.trunk.parameters()).dtype
        return ((images - mean) / std).to(dtype=dtype, memory_format=torch.channels_last)


_Measures = tuple[int, tuple[int, int], tuple[float, float, float, float]]
_measured: dict[tuple[str, int], _Measures] = {}


def _measure(trunk: nn.Module, name: str, size: int) -> _Measures:
    """Width, grid and box of what a trunk makes of pictures of `size` pixels; see `Encoder`."""
    if (name, size) not in _measured:
        # A copy without storage gives the shape of the output in no time.
        twin, image = copy.deepcopy(trunk).to("meta"), torch.empty(1, 3, size, size, device="meta")
        strides = _Strides(twin, size)
        try:
            features = _map(twin(image))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise _unfit(name, size, error) from None
        grid = (features.shape[2], features.shape[3])
        if 0 in grid:
            raise _unfit(name, size, "nothing is left of them")
        # Kept, for it takes half of the time that building an encoder does.
        _measured[name, size] = features.shape[1], grid, strides.box(grid)
    return _measured[name, size]


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


def check_name(name: object) -> None:
    """Raises UsageError, near names listed, unless torchvision has a classification model of that name, or `none`."""
    known = [NO_ENCODER, *list_models(module=torchvision.models)]
    if name not in known:
        near = ", ".join(near_names(name, known, 4)) or "see torchvision.models.list_models()"
        raise UsageError(f"no encoder named {name!r}; near it: {near}")


def _torchvision_model(name: str, size: int | None, weights: str | None = None) -> nn.Module:
    """The model in evaluation mode, for pictures of `size` pixels where that is part of what it is."""
    check_name(name)
    options: Mapping[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        # Their official weights expect another normalisation, which the models themselves turn the common one into.
        options = {"transform_input": True} | ({} if weights else {"init_weights": False})
    elif size is not None and name.startswith("vit_"):
        options = {"image_size": size}
    elif size is not None and name.startswith("maxvit_"):
        options = {"input_size": (size, size)}
    # What a RegNet computes its widths by must hold numbers, also where the model shall be built without storage.
    place = torch.device("cpu") if name.startswith("regnet_") else nullcontext()
    try:
        with place:
            model: nn.Module = get_model(name, weights=weights, **options)
            return model.eval()
    except (ValueError, AssertionError) as error:
        raise _unfit(name, size, error) from None


def _unfit(name: str, size: int | None, why: object) -> UsageError:
    usual = get_model_weights(name)["DEFAULT"].transforms().crop_size[0]
    reason = str(why).strip().split("\n")[0].rstrip(".!")
    return UsageError(f"{name} cannot see pictures of {size} pixels ({reason}); it was made for {usual}")


_REGIONS = {
    "GoogLeNet": ("inception5b", ""),
    "Inception3": ("Mixed_7c", ""),
    "MaxVit": ("blocks.3", "blocks"),
    "MNASNet": ("layers", "layers"),
    "RegNet": ("trunk_output", "trunk_output"),
    "ShuffleNetV2": ("conv5", ""),
    "SwinTransformer": ("permute", "features"),
    "VisionTransformer": ("encoder.ln", "encoder.layers"),
}
"""Of models whose trunk is no sequence: the node that gives the regions, and the module whose children are blocks."""


def _trunk(model: nn.Module) -> tuple[nn.Module, str]:
    """The model up to its regions, folded, and the module in it whose children are blocks, "" for its own children.

    It is a sequence where the model has one, else what torchvision extracts.
    """
    node, opened = _REGIONS.get(type(model).__name__, ("", ""))
    if node:
        leaves = {"leaf_modules": [DepthwiseConv2d]}
        extractor = create_feature_extractor(
            _folded(model), {node: _NODE}, tracer_kwargs=leaves, suppress_diff_warning=True
        )
        # What differs in training, stochastic depth, is a module that obeys the mode of its own block, so one graph
        # will do; and unlike torchvision's pair of graphs a single one can be copied.
        return GraphModule(extractor, extractor.graph), opened
    features = getattr(model, "features", None)
    if isinstance(features, nn.Sequential):
        return _folded(features), ""
    stages = dict(model.named_children())
    if "layer4" in stages:
        stem = nn.Sequential(*(stages[name] for name in ("conv1", "bn1", "relu", "maxpool")))
        return _folded(nn.Sequential(stem, *(stages[f"layer{number}"] for number in (1, 2, 3, 4)))), ""
    raise UsageError(f"{type(model).__name__} has no regions that are known; try efficientnet_b4 or resnet50")


def _opened(module: nn.Module, path: list[str]) -> Iterator[nn.Module]:
    """The children of a module, in the place of the one at the head of `path` what the rest of the path opens."""
    for name, child in module.named_children():
        if path and name == path[0]:
            yield from _opened(child, path[1:])
        else:
            yield child


def _regions(features: Tensor | dict[str, Tensor]) -> Tensor:
    """What a trunk gives as B x R x D."""
    return _map(features).flatten(2).transpose(1, 2)


def _map(features: Tensor | dict[str, Tensor]) -> Tensor:
    """What a trunk gives as B x D x rows x columns."""
    if isinstance(features, dict):
        features = features[_NODE]
    if features.dim() == 4:
        return features
    # The class token is in front of the patches.
    side = math.isqrt(features.shape[1] - 1)
    patches: Tensor = features[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    return patches


def _folded(module: nn.Module) -> nn.Module:
    """Folds each batch norm into the convolution just before it and speeds up depthwise convolutions."""
    for parent in list(module.modules()):
        previous: tuple[str, nn.Conv2d] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                setattr(parent, previous[0], _fused(previous[1], child))
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.BatchNorm2d) and child.num_batches_tracked is not None:
                child.num_batches_tracked.zero_()  # it counts no further, and float16 does not hold what it counted
            previous = (name, child) if isinstance(child, nn.Conv2d) else None
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and DepthwiseConv2d.suits(child):
                setattr(parent, name, DepthwiseConv2d.of(child))
    return module.to(memory_format=torch.channels_last)


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution that does what the two do one after the other."""
    if not convolution.weight.is_meta:
        return fuse_conv_bn_eval(convolution, norm)
    # There are no numbers to fold, and torch would take most of the time in which a model loads to say so.
    convolution.bias = nn.Parameter(torch.empty_like(convolution.weight[:, 0, 0, 0]))
    return convolution


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from None


_BEHIND = ("classifier.", "fc.", "avgpool.", "head.", "heads.", "AuxLogits.", "aux1.", "aux2.")
"""Names of what models have behind or beside their regions."""


def _load_into(model: nn.Module, tensors: Mapping[str, Tensor], path: str, name: str) -> None:
    trunk_keys = {key for key in model.state_dict() if not key.startswith(_BEHIND)}
    missing = {key for key in trunk_keys if not key.endswith("num_batches_tracked")} - tensors.keys()
    if missing:
        raise ModelError(f"{path}: not weights of {name}; {len(missing)} tensors missing, e.g. {min(missing)}")
    tensors = OrderedDict((key, value.float()) for key, value in tensors.items() if key in trunk_keys)
    try:
        if isinstance(model, VisionTransformer):
            # The places of patches in pictures of another size lie between those that were learnt.
            tensors = interpolate_embeddings(model.image_size, model.patch_size, tensors)
        # A file has no place for the versions of modules, and MNASNet asks for its own.
        tensors._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
        model.load_state_dict(tensors, strict=False)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: does not fit {name}: {str(error).splitlines()[-1].strip()}") from None
