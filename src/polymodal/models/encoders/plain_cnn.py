"""A plain convolutional network, for small pictures and few rows; it takes nothing over a batch."""

from __future__ import annotations

import math
from dataclasses import field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithNoAttention

RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""Brings what passed a ReLU from a standard normal distribution back to variance 1 (Brock et al. 2021)."""


class PlainCnnConfig(PreTrainedConfig):
    """Sizes of :class:`PlainCnnModel`.

    Args:
        num_channels: Of the pictures.
        hidden_sizes: Channels of each block; each halves the sides.

    Raises:
        ValueError: If ``hidden_sizes`` is no list of numbers above 0, or an empty one.
    """

    model_type = "plain_cnn"

    num_channels: int = 3
    hidden_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256])

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse sizes of which no network can be built."""
        sizes = self.hidden_sizes
        if not (isinstance(sizes, list) and sizes and all(type(size) is int and size > 0 for size in sizes)):
            raise ValueError(f"hidden_sizes is {sizes!r}, expected the channels of one block or more")
        super().__post_init__(**kwargs)


class PlainCnnModel(PreTrainedModel):
    """A convolution, maximum pooling and ReLU a block, as in VGG (Simonyan & Zisserman 2015).

    Its filters are standardized in the place of BatchNorm, so that rows do not change each other and how
    bright and how rich in contrast a picture is stays in what it gives, which GroupNorm takes out.
    """

    config_class = PlainCnnConfig
    base_model_prefix = "plain_cnn"
    main_input_name = "pixel_values"

    def __init__(self, config: PlainCnnConfig) -> None:
        super().__init__(config)
        sizes = [config.num_channels, *config.hidden_sizes]
        self.blocks = nn.ModuleList(
            StandardizedConv2d(given, made, 3, padding=1) for given, made in pairwise(sizes)
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """How large filters are shows only in how far a step of Adam turns them: PyTorch's own start."""
        if isinstance(module, StandardizedConv2d):
            module.reset_parameters()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithNoAttention:
        """``pixel_values`` ``(items, channels, height, width)`` to a map of ``hidden_sizes[-1]`` channels."""
        hidden = pixel_values
        for conv in self.blocks:
            pooled = F.max_pool2d(conv(hidden), 2, ceil_mode=True)  # before the ReLU: the same, and faster
            hidden = RELU_GAIN * F.relu(pooled)
        return BaseModelOutputWithNoAttention(last_hidden_state=hidden)


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 / fan-in, times a learned gain each.

    Scaled weight standardization (Brock et al. 2021, "Characterizing signal propagation to close the
    performance gap in unnormalized ResNets", equation 1).
    """

    eps = 1e-4
    """Least variance of a filter, times its fan-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels))

    def reset_parameters(self) -> None:
        """See :class:`torch.nn.Conv2d`."""
        super().reset_parameters()
        if hasattr(self, "gain"):
            nn.init.ones_(self.gain)

    def forward(self, input: Tensor) -> Tensor:
        """See :class:`torch.nn.Conv2d`."""
        return self._conv_forward(input, self.standardized(), self.bias)

    def standardized(self) -> Tensor:
        """The filters, ``(out, in, rows, columns)``."""
        filters = self.weight.flatten(1)
        variance, mean = torch.var_mean(filters, dim=1, keepdim=True, correction=0)
        scale = self.gain.unsqueeze(1) * (variance * filters.shape[1] + self.eps).rsqrt()
        return ((filters - mean) * scale).view_as(self.weight)
