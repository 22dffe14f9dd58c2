from __future__ import annotations

import pytest
import torch
from toy_objective import WORDS, Fixed, Words, batch, build, regions

from capcli.model.decoders.contract import Decoder
from capcli.training.objectives.scheduled_sampling import mixed
from capcli.training.targets import pad, shift
from capcli.words.vocabulary import END, PAD, SPECIALS, START

LONG = [[8, 7, 9, 8, 7, 9, 8, END]] * 3 + [[9, 8, END]] * 3
"""Two captions of each picture, of none of the words that `Fixed` says below."""


class Fed(Fixed):
    """Says word 5, and remembers what teacher forcing gave it to read."""

    def __init__(self) -> None:
        super().__init__([5], ends=False)

    def forward(self, regions: torch.Tensor, captions: torch.Tensor) -> tuple[torch.Tensor, None]:
        self.read = captions
        return super().forward(regions, captions)


@pytest.mark.parametrize(("probability", "progress"), [(0.0, 0.9), (1.0, 0.0)])
def test_without_words_of_its_own_it_is_cross_entropy(decoder: Decoder, probability: float, progress: float) -> None:
    values = []
    for name, options in (("cross-entropy", {}), ("scheduled-sampling", {"sampling_probability": probability})):
        decoder.zero_grad()
        lowered, _ = build(name, **options).loss(Words(decoder), batch(progress=progress))
        lowered.backward()
        values.append([lowered, *(parameter.grad.clone() for parameter in decoder.parameters())])
    assert all(torch.equal(plain, sampled) for plain, sampled in zip(*values, strict=True))


def test_inputs_mixed_with_nothing_are_the_references(decoder: Decoder) -> None:
    targets = pad(LONG)
    assert torch.equal(mixed(decoder, regions(), targets, 0.0), shift(targets))


def test_inputs_are_all_its_own_where_the_share_is_whole() -> None:
    inputs = mixed(Fixed([4, 6], ends=False), regions(), pad(LONG), 1.0)
    assert inputs[:3].tolist() == [[START, 4, 6, 6, 6, 6, 6, 6]] * 3
    # Behind the end of a reference there is nothing to go on from.
    assert inputs[3:].tolist() == [[START, 4, 6, END, PAD, PAD, PAD, PAD]] * 3


@pytest.mark.parametrize("caption", [[END], [PAD], [START]])
def test_no_input_is_drawn_that_is_no_word(caption: list[int]) -> None:
    inputs = mixed(Fixed(caption, ends=True), regions(), pad(LONG[:3]), 1.0)
    assert (inputs[:, 1:] >= len(SPECIALS)).all()


def test_words_are_drawn_as_the_decoder_has_them_after_those_drawn_before(decoder: Decoder) -> None:
    copies = 3000
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(2.0)
    inputs = mixed(decoder, regions()[:1], pad([[7, 8, 9, END]] * copies), 1.0)
    assert decoder.training
    common = int(inputs[:, 1].mode().values)
    decoder.eval()
    for drawn, before in ((inputs[:, 1], [START]), (inputs[inputs[:, 1] == common, 2], [START, common])):
        with torch.no_grad():
            log_probabilities, _ = decoder(regions()[:1], torch.tensor([before]))
        shares = log_probabilities[0, -1, len(SPECIALS) :].softmax(-1)
        frequencies = drawn.bincount(minlength=WORDS)[len(SPECIALS) :] / len(drawn)
        # Four standard deviations of a frequency, and a little for shares near 0.
        assert ((frequencies - shares).abs() < 4 * (shares * (1 - shares) / len(drawn)).sqrt() + 0.002).all()


@pytest.mark.parametrize("progress", [0.25, 0.5, 0.99])
def test_the_share_rises_with_the_stage(progress: float) -> None:
    torch.manual_seed(0)
    objective, decoder = build("scheduled-sampling", sampling_probability=0.8), Fed()
    objective.loss(Words(decoder), batch(progress=progress, copies=700))
    # Of the three inputs the first is the start; 4200 coins remain.
    assert (decoder.read[:, 1:] == 5).float().mean() == pytest.approx(
        0.8 * progress + (1 - 0.8 * progress) / 6, abs=0.03
    )


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_drawing_first_leaves_no_weight_without_its_gradient(decoder: Decoder, precision: torch.dtype) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        lowered, _ = build("scheduled-sampling", sampling_probability=1.0).loss(Words(decoder), batch(progress=0.9))
    lowered.backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []
