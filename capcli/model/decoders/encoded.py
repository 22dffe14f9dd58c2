"""Any decoder behind a region encoder."""

from __future__ import annotations

from torch import Tensor

from capcli.model.decoders.contract import Decoder, State
from capcli.model.feed_forward import shrink_branches
from capcli.model.region_encoder import FrontConfig, RegionEncoder


class EncodedDecoder(RegionEncoder, Decoder[State]):
    """A decoder that looks at regions which have seen each other; all else is as it does it.

    Args:
        config: the decoder's, with the region encoder's options.
        region_width: of the regions that come in.
        grid: of the regions.
        decoder: takes regions as wide as `config.region_width`.
    """

    def __init__(self, config: FrontConfig, region_width: int, grid: tuple[int, int], decoder: Decoder[State]) -> None:
        super().__init__(config, region_width, grid, config.region_width, config.region_heads, config.dropout)
        shrink_branches(self.region_layers, config.region_layers)
        self.decoder = decoder
        self.heads = decoder.heads

    def start(self, regions: Tensor) -> State:
        return self.decoder.start(self._encoded(regions))

    def attend(self, tokens: Tensor, state: State, gates: Tensor | None = None) -> tuple[Tensor, Tensor | None, State]:
        return self.decoder.attend(tokens, state, gates)

    def sentinel(self, state: State) -> Tensor | None:
        return self.decoder.sentinel(state)

    def reorder(self, state: State, index: Tensor) -> State:
        return self.decoder.reorder(state, index)

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        output: tuple[Tensor, Tensor | None] = self.decoder(self._encoded(regions), captions)
        return output

    def _encoded(self, regions: Tensor) -> Tensor:
        encoded: Tensor = self.region_dropout(self.encode(regions))
        return encoded
