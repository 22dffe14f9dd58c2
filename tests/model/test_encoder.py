from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import get_model

from capcli.errors import ModelError, UsageError
from capcli.model.depthwise import DepthwiseConv2d
from capcli.model.encoder import Encoder, EncoderConfig

SIZE = 64


def torchvision_model(name: str) -> nn.Module:
    """A model whose batch norms do something: those of a new one are nearly the identity."""
    torch.manual_seed(3)
    model = get_model(name, weights=None).eval()
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
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig(name, size))
    assert (encoder.grid, encoder.width) == (grid, width)


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no encoder named 'efficientnet_b44'; near it: .*efficientnet_b4"):
        Encoder(EncoderConfig("efficientnet_b44"))


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "shufflenet_v2_x0_5"])
def test_a_model_without_a_convolutional_trunk(name: str) -> None:
    with torch.device("meta"), pytest.raises(UsageError, match="no convolutional trunk; try efficientnet_b4"):
        Encoder(EncoderConfig(name))


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
    with torch.device("meta"):
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
    one, other = images.clone().requires_grad_(), images.clone().requires_grad_()
    expected = plain(one)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed(other)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
    slope = torch.randn_like(expected).bfloat16()
    expected.backward(slope.float())
    found.backward(slope)
    # The slope arrives in bfloat16; from there on the gradients are as exact as float32.
    torch.testing.assert_close(mixed.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-2, atol=1e-2)
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


@pytest.mark.parametrize(("name", "size"), [("vgg11", 320), ("resnet18", 512)])
def test_the_box_puts_regions_where_their_receptive_fields_are(name: str, size: int) -> None:
    encoder = Encoder(EncoderConfig(name, size))
    for module in encoder.trunk.modules():
        # With weights all alike and no kinks, what a region sees is a hill around the centre of its receptive field.
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
        elif isinstance(module, torch.nn.MaxPool2d):
            module.forward = torch.nn.AvgPool2d(module.kernel_size, module.stride, module.padding).forward
        elif isinstance(module, torch.nn.ReLU):
            module.forward = torch.nn.Identity().forward
    rows, columns = encoder.grid
    row, column = rows // 2, columns // 2  # whose receptive field lies in the picture as a whole
    image = torch.full((1, 3, size, size), 0.5, requires_grad=True)
    (seen,) = torch.autograd.grad(encoder.trunk(image)[0, 0, row, column], image)
    hill, places = seen.sum((0, 1)), torch.arange(size) + 0.5
    left, top, right, bottom = encoder.box
    centre = (top + (row + 0.5) * (bottom - top) / rows, left + (column + 0.5) * (right - left) / columns)
    for axis in (0, 1):
        assert float(hill.sum(1 - axis) @ places / hill.sum()) == pytest.approx(centre[axis] * size, abs=0.5)


def test_the_shipped_encoder_looks_half_a_region_up_and_left_of_an_even_division() -> None:
    # Five strides of 2 with odd kernels and even padding: centres at 0, 32, 64, ... of 224.
    box = Encoder(EncoderConfig("efficientnet_b4", 224)).box
    assert box == pytest.approx((-15.5 / 224, -15.5 / 224, 208.5 / 224, 208.5 / 224))
