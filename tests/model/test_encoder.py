from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import small_encoder  # noqa: F401 - registers the tiny ones
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError, UsageError
from capcli.model.depthwise import DepthwiseConv2d
from capcli.model.encoder import Encoder, EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.model.shapes import shapes_only
from capcli.modelfile.checkpoint import Checkpoint
from capcli.words.vocabulary import SPECIALS, Vocabulary

SIZE = 64


def torchvision_model(name: str, **options: object) -> nn.Module:
    """A model whose batch norms do something: those of a new one are nearly the identity."""
    torch.manual_seed(3)
    model = get_model(name, weights=None, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model


def trunk_of(model: nn.Module) -> nn.Module:
    features = getattr(model, "features", None)
    return features if features is not None else nn.Sequential(*list(model.children())[:-2])


def pictures(count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a mobilenet_v3_small."""
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(torchvision_model("mobilenet_v3_small").state_dict(), file)
    return file


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18", "efficientnet_b0"])
@torch.no_grad()
def test_the_folded_trunk_is_torchvisions_own(name: str, tmp_path: Path) -> None:
    model = torchvision_model(name)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    encoder = Encoder(EncoderConfig(name, SIZE))
    encoder.load_pretrained(str(tmp_path / "weights.safetensors"))
    images = pictures()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = trunk_of(model)((images / 255 - mean) / std).flatten(2).transpose(1, 2)
    regions = encoder.eval()(images)
    scale = expected.abs().max()
    torch.testing.assert_close(regions / scale, expected / scale, rtol=1e-3, atol=1e-5)
    assert regions.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.width)
    torch.testing.assert_close(encoder(images.permute(0, 2, 3, 1)), regions)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())


@torch.no_grad()
def test_training_mode_keeps_the_statistics(small: Path) -> None:
    encoder = Encoder(EncoderConfig("mobilenet_v3_small", SIZE))
    encoder.load_pretrained(str(small))
    images = pictures()
    torch.testing.assert_close(encoder.train()(images), encoder.eval()(images))


@pytest.mark.parametrize(
    ("name", "size", "grid", "width"),
    [("mobilenet_v3_small", 64, (2, 2), 576), ("mobilenet_v3_small", 96, (3, 3), 576), ("resnet18", 65, (3, 3), 512)],
)
def test_grid_and_width(name: str, size: int, grid: tuple[int, int], width: int) -> None:
    with shapes_only():
        encoder = Encoder(EncoderConfig(name, size))
    assert (encoder.grid, encoder.width) == (grid, width)


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no encoder named 'efficientnet_b44'; near it: .*efficientnet_b4"):
        Encoder(EncoderConfig("efficientnet_b44"))


LAST_MAPS = {
    "densenet121": ("features", 64),
    "googlenet": ("inception5b", 64),
    "inception_v3": ("Mixed_7c", 96),
    "maxvit_tiny": ("blocks.3", 64),
    "mnasnet0_5": ("layers", 64),
    "regnet_x_400mf": ("trunk_output", 64),
    "shufflenet_v2_x0_5": ("conv5", 64),
    "swin_tiny": ("permute", 64),
    "squeezenet1_1": ("features", 64),
    "vit_tiny_32": ("encoder.ln", 64),
}
"""The module after which each of these models pools or classifies, and a size of pictures that it can see."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LAST_MAPS)
@torch.no_grad()
def test_any_classification_model_gives_what_it_classifies_by(name: str, tmp_path: Path) -> None:
    layer, size = LAST_MAPS[name]
    options = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    options |= {"image_size": size} if name == "vit_tiny_32" else {}
    options |= {"input_size": (size, size)} if name == "maxvit_tiny" else {}
    model = torchvision_model(name, **options)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    encoder = Encoder(EncoderConfig.of(name, size)).eval()
    encoder.load_pretrained(str(tmp_path / "weights.safetensors"))
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (encoder.config.mean, encoder.config.std))
    outputs: list[Tensor] = []
    model.get_submodule(layer).register_forward_hook(lambda module, given, out: outputs.append(out.clone()))
    model((images / 255 - mean) / std)
    expected = outputs[0][:, 1:] if name == "vit_tiny_32" else outputs[0].flatten(2).transpose(1, 2)
    regions = encoder(images)
    scale = expected.abs().max()
    torch.testing.assert_close(regions / scale, expected / scale, rtol=1e-3, atol=1e-5)
    assert regions.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.width)
    torch.testing.assert_close(copy.deepcopy(encoder)(images), regions)


FAMILIES = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "regnet_y_400mf", "resnet101", "resnext50_32x4d",
    "shufflenet_v2_x1_0", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg16", "vit_b_16", "wide_resnet50_2",
)  # fmt: skip


def test_no_family_of_torchvisions_models_is_forgotten() -> None:
    """A release with a new one shall say so."""
    first = re.compile("[a-z]+")
    known = {first.match(name)[0] for name in FAMILIES}
    assert {first.match(name)[0] for name in list_models(module=torchvision.models)} <= known


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_torchvisions_models_has_regions(name: str) -> None:
    size = {"inception_v3": 96, "maxvit_t": 224}.get(name, 64)
    with shapes_only():
        encoder = Encoder(EncoderConfig.of(name, size))
        regions = encoder(torch.empty(1, 3, size, size, dtype=torch.uint8))
    assert regions.shape == (1, encoder.grid[0] * encoder.grid[1], encoder.width)
    assert len(encoder.blocks) >= 5
    assert len(set(map(id, encoder.blocks))) == len(encoder.blocks)


def test_pictures_are_normalised_as_the_official_weights_want_them() -> None:
    assert EncoderConfig.of("efficientnet_b4", 224) == EncoderConfig("efficientnet_b4", 224)
    assert EncoderConfig.of("efficientnet_v2_l", 480).mean == (0.5, 0.5, 0.5)
    with pytest.raises(UsageError, match=r"no encoder named 'vgg61'; near it: .*vgg16"):
        EncoderConfig.of("vgg61", 224)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("inception_v3", 64, r"inception_v3 cannot see pictures of 64 pixels \(.*it was made for 299"),
        ("maxvit_t", 100, r"maxvit_t cannot see pictures of 100 pixels \(.*it was made for 224"),
        ("vit_b_16", 100, r"vit_b_16 cannot see pictures of 100 pixels \(.*it was made for 224"),
        ("alexnet", 32, r"alexnet cannot see pictures of 32 pixels \(.*it was made for 224"),
    ],
)
def test_pictures_of_a_size_that_a_model_cannot_see(name: str, size: int, message: str) -> None:
    with shapes_only(), pytest.raises(UsageError, match=message) as caught:
        Encoder(EncoderConfig(name, size))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@torch.no_grad()
def test_a_vision_transformer_sees_pictures_of_another_size_than_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = get_model("vit_tiny_32", weights=None, image_size=64)
    source.encoder.pos_embedding.normal_()
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    encoder = Encoder(EncoderConfig("vit_tiny_32", 96))
    encoder.load_pretrained(str(tmp_path / "weights.safetensors"))
    assert encoder.grid == (3, 3)
    places = encoder.trunk.state_dict()["encoder.pos_embedding"]
    corners = places[0, 1:].view(3, 3, -1)[::2, ::2].reshape(4, -1)
    torch.testing.assert_close(corners, source.encoder.pos_embedding[0, 1:])


def test_blocks_of_an_extracted_trunk_are_frozen_from_the_picture_on() -> None:
    with shapes_only():
        encoder = Encoder(EncoderConfig("vit_b_32", 64))
    trained = lambda: {name for name, p in encoder.trunk.named_parameters() if p.requires_grad}  # noqa: E731
    every = {name for name, _ in encoder.trunk.named_parameters()}
    encoder.train_from(0)
    assert trained() == every
    encoder.train_from(len(encoder.blocks) - 2)
    layer = "encoder.layers.encoder_layer_11."
    assert trained() == {name for name in every if name.startswith((layer, "encoder.ln."))}
    encoder.train_from(1)
    assert every - trained() == {"class_token", "encoder.pos_embedding", "conv_proj.weight", "conv_proj.bias"}
    encoder.train_from(None)
    assert trained() == set()


def test_stochastic_depth_is_at_work_in_blocks_that_are_trained_alone() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig("swin_tiny", 32))
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    encoder.train_from(None)
    assert torch.equal(encoder.train()(images), encoder.train()(images))
    encoder.train_from(0)
    assert not torch.equal(encoder.train()(images), encoder.train()(images))
    assert torch.equal(encoder.eval()(images), encoder.eval()(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "swin_tiny"])
def test_a_model_file_keeps_what_is_no_convolution_exactly(name: str, tmp_path: Path) -> None:
    """Of batch norms that cannot be folded and tables of places, through a file in float16."""
    model = torchvision_model(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.fill_(10**6)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        config = ModelConfig(EncoderConfig(name, 64), {"name": "merge", "width": 8})
        saved = CaptioningModel(config, Vocabulary([*SPECIALS, "a"])).eval()
        saved.encoder.load_pretrained(str(tmp_path / "weights.safetensors"))
        Checkpoint(saved, DecodingOptions()).save(tmp_path / "model.safetensors")
        loaded = Checkpoint.load(tmp_path / "model.safetensors").model
        images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
        regions, expected = loaded.encoder(images), saved.encoder(images)
        torch.testing.assert_close(
            regions / expected.abs().max(), expected / expected.abs().max(), rtol=0.05, atol=0.02
        )


def test_weights_of_another_model(small: Path) -> None:
    encoder = Encoder(EncoderConfig("mobilenet_v3_large", SIZE))
    with pytest.raises(ModelError, match=r"small.safetensors: not weights of mobilenet_v3_large; \d+ tensors missing"):
        encoder.load_pretrained(str(small))


def test_weights_of_another_shape(small: Path, tmp_path: Path) -> None:
    tensors = load_file(small)
    tensors["features.0.0.weight"] = torch.zeros(16, 3, 5, 5)
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ModelError, match=r"does not fit mobilenet_v3_small: .*features\.0\.0\.weight") as caught:
        Encoder(EncoderConfig("mobilenet_v3_small", SIZE)).load_pretrained(str(tmp_path / "odd.safetensors"))
    assert "\n" not in str(caught.value)


def test_weights_without_a_classifier_are_enough(small: Path, tmp_path: Path) -> None:
    tensors = {key: value for key, value in load_file(small).items() if key.startswith("features.")}
    save_file(tensors, tmp_path / "trunk.safetensors")
    whole, bare = (Encoder(EncoderConfig("mobilenet_v3_small", SIZE)) for _ in range(2))
    whole.load_pretrained(str(small))
    bare.load_pretrained(str(tmp_path / "trunk.safetensors"))
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), bare.parameters(), strict=True))


@pytest.mark.parametrize("length", [0, 7, 100, 5000, -1])
def test_a_truncated_file(small: Path, tmp_path: Path, length: int) -> None:
    file = tmp_path / "cut.safetensors"
    file.write_bytes(small.read_bytes()[:length])
    with pytest.raises(ModelError, match="cannot be read as safetensors") as caught:
        Encoder(EncoderConfig("mobilenet_v3_small", SIZE)).load_pretrained(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            Encoder(EncoderConfig("mobilenet_v3_small", SIZE)).load_pretrained(str(path))


@pytest.mark.parametrize("block", [None, 0, 5, 12])
def test_train_from_freezes_the_blocks_below(block: int | None) -> None:
    with shapes_only():
        encoder = Encoder(EncoderConfig("mobilenet_v3_small", SIZE))
    encoder.train_from(block)
    for index, module in enumerate(encoder.trunk):
        trained = block is not None and index >= block
        assert all(parameter.requires_grad == trained for parameter in module.parameters())
    encoder.train_from(0)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "bias"),
    [(3, 1, 1, 1, True), (5, 2, 2, 1, True), (3, 2, 1, 1, False), (3, 1, 2, 2, True)],
)
def test_depthwise_gradients_in_mixed_precision(
    kernel: int, stride: int, padding: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, kernel, stride, padding, dilation, 8, bias)
    mixed = DepthwiseConv2d.of(plain)
    images = torch.randn(2, 8, 9, 9)
    plain_images, mixed_images = images.clone().requires_grad_(), images.clone().requires_grad_()
    expected = plain(plain_images)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed(mixed_images)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
    slope = torch.randn_like(expected).bfloat16()
    expected.backward(slope.float())
    found.backward(slope)
    # The slope arrives in bfloat16; from there on the gradients are as exact as float32.
    torch.testing.assert_close(mixed.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed_images.grad, plain_images.grad, rtol=1e-2, atol=1e-2)
    if bias:
        torch.testing.assert_close(mixed.bias.grad, plain.bias.grad, rtol=1e-4, atol=1e-4)


def test_a_depthwise_convolution_without_autocast_is_the_plain_one() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, groups=4)
    images = torch.randn(1, 4, 6, 6)
    assert torch.equal(DepthwiseConv2d.of(plain)(images), plain(images))


def test_what_counts_as_depthwise() -> None:
    assert DepthwiseConv2d.suits(nn.Conv2d(4, 4, 3, groups=4))
    for conv in (
        nn.Conv2d(4, 8, 3, groups=4),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(1, 1, 3),
        nn.Conv2d(4, 4, 3, groups=4, padding_mode="reflect"),
    ):
        assert not DepthwiseConv2d.suits(conv)


@pytest.mark.parametrize(("name", "size"), [("vgg11", 192), ("resnet18", 512)])
def test_the_box_puts_regions_where_their_receptive_fields_are(name: str, size: int) -> None:
    with shapes_only():
        encoder = Encoder(EncoderConfig(name, size))
    encoder.to_empty(device="cpu")
    for module in encoder.trunk.modules():
        # With weights all alike and no kinks, what a region sees is a hill around the centre of its receptive field.
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
            module.bias.data.zero_()
        elif isinstance(module, torch.nn.MaxPool2d):
            module.forward = torch.nn.AvgPool2d(module.kernel_size, module.stride, module.padding).forward
        elif isinstance(module, torch.nn.ReLU):
            module.forward = torch.nn.Identity().forward
    rows, columns = encoder.grid
    row, column = rows // 2, columns // 2  # whose receptive field lies in the picture as a whole
    image = torch.full((1, 3, size, size), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder.trunk(image)[0, 0, row, column], image)
    hill, places = gradient.sum((0, 1)), torch.arange(size) + 0.5
    left, top, right, bottom = encoder.box
    centre = (top + (row + 0.5) * (bottom - top) / rows, left + (column + 0.5) * (right - left) / columns)
    for axis in (0, 1):
        assert float(hill.sum(1 - axis) @ places / hill.sum()) == pytest.approx(centre[axis] * size, abs=0.5)


def test_the_shipped_encoder_looks_half_a_region_up_and_left_of_an_even_division() -> None:
    # Five strides of 2 with odd kernels and even padding: centres at 0, 32, 64, ... of 224.
    with shapes_only():
        box = Encoder(EncoderConfig("efficientnet_b4", 224)).box
    assert box == pytest.approx((-15.5 / 224, -15.5 / 224, 208.5 / 224, 208.5 / 224))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
@torch.no_grad()
def test_blocks_computed_apart_give_the_same_regions(name: str) -> None:
    encoder, images = Encoder(EncoderConfig(name, SIZE)), pictures()
    for block in (1, len(encoder.blocks) - 1):
        apart = encoder.encode_from(encoder.encode_below(images, block), block)
        torch.testing.assert_close(apart, encoder(images))


def test_a_trunk_that_is_no_sequence_cannot_be_computed_in_parts() -> None:
    with shapes_only():
        encoder = Encoder(EncoderConfig("swin_t", SIZE))
    with pytest.raises(UsageError, match="the blocks of swin_t cannot be computed apart; set features = 'pictures'"):
        encoder.encode_below(pictures(), 1)
