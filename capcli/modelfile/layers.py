"""The weights that a model nearly consists of, and that can be stored with less than they are."""

from __future__ import annotations

from torch import nn

_LAYERS = (nn.Conv2d, nn.Linear, nn.Embedding, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


def layer_weights(model: nn.Module) -> set[str]:
    """Names of the weights, in the model's state, of its convolutions, linear and recurrent layers and embeddings.

    The others, such as biases and those of norms, are few and matter much.
    """
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, _LAYERS)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() > 1
    }
