"""Any decoder behind a region encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from capcli.model.decoders.contract import Decoder
from capcli.model.feed_forward import shrink_branches
from capcli.model.region_encoder import FrontConfig, RegionEncoder


class EncodedDecoder(RegionEncoder, Decoder):
    """A decoder that looks at regions which have seen each other; all else is as it does it.

    Args:
        config: the decoder's, with the region encoder's options.
        region_width: of the regions that come in.
        grid: of the regions.
        decoder: takes regions as wide as `config.region_width`.
    """

    def __init__(self, config: FrontConfig, region_width: int, grid: tuple[int, int], decoder: Decoder) -> None:
        super().__init__(config, region_width, grid, config.region_width, config.region_heads, config.dropout)
        shrink_branches(self.region_layers, config.region_layers)
        self.decoder = decoder
        self.heads = decoder.heads

    def start(self, regions: Tensor) -> Any:
        return self.decoder.start(self._seen(regions))

    def attend(self, tokens: Tensor, state: Any, gates: Tensor | None = None) -> tuple[Tensor, Tensor | None, Any]:
        return self.decoder.attend(tokens, state, gates)

    def sentinel(self, state: Any) -> Tensor | None:
        return self.decoder.sentinel(state)

    def reorder(self, state: Any, index: Tensor) -> Any:
        return self.decoder.reorder(state, index)

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.decoder(self._seen(regions), captions)

    def _seen(self, regions: Tensor) -> Tensor:
        return self.region_dropout(self.encode(regions))
