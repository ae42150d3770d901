"""Attention-based Dropout Layer as a function and as a module."""

import torch
from torch import Tensor, nn

from wsol.methods.adl import Config


def attention_map(features: Tensor) -> Tensor:
    """Return the self-attention map: the mean over channels.

    Args:
        features: ``(N, C, h, w)``.

    Returns:
        ``(N, 1, h, w)``, in float32 for features of a lower precision.

    Source: Choe & Shim, CVPR 2019, section 3.1.

    >>> attention_map(torch.tensor([[[[1.0, 2.0]], [[3.0, 6.0]]]]))
    tensor([[[[2., 4.]]]])
    """
    # Not mean(): its backward pass materializes the gradient for all channels before adding that of
    # the product, but a sum's has one number per pixel. A sum in float16 could overflow.
    wide = torch.promote_types(features.dtype, torch.float32)
    return features.sum(1, keepdim=True, dtype=wide) / features.shape[1]


def drop_mask(features: Tensor, threshold: float) -> Tensor:
    """Return the mask where the self-attention map is below a fraction of its maximum.

    Args:
        features: ``(N, C, h, w)``.
        threshold: gamma, in [0, 1].

    Returns:
        bool ``(N, 1, h, w)``, False where the most discriminative region is dropped. It carries no
        gradient.

    Source: Choe & Shim, CVPR 2019, section 3.1, drop mask.

    >>> drop_mask(torch.tensor([[[[1.0, 8.0, 10.0]]]]), 0.8)
    tensor([[[[ True, False, False]]]])
    """
    attention = attention_map(features.detach())
    return attention < threshold * attention.amax((2, 3), keepdim=True)


def importance_map(features: Tensor) -> Tensor:
    """Return the sigmoid of the self-attention map, ``(N, 1, h, w)`` in [0, 1].

    Args:
        features: ``(N, C, h, w)``.

    Source: Choe & Shim, CVPR 2019, section 3.1, importance map.

    >>> importance_map(torch.zeros(1, 4, 1, 2))
    tensor([[[[0.5000, 0.5000]]]])
    """
    return attention_map(features).sigmoid().to(features.dtype)


def attention_dropout(features: Tensor, drop_rate: float, threshold: float) -> Tensor:
    """Apply the drop mask or the importance map to features, with one draw for the whole batch.

    Args:
        features: ``(N, C, h, w)``, rectified.
        drop_rate: probability of the drop mask.
        threshold: gamma, in [0, 1].

    The draw is one number of torch's global CPU generator. Only the chosen branch is computed; the
    drop branch saves its mask for the backward pass, and no copy of the features.
    ``torch.compile`` makes one graph of both branches, with the same draw.

    Source: Choe & Shim, CVPR 2019, section 3.1.

    >>> features = torch.tensor([[[[1.0, 8.0, 10.0]]]])
    >>> attention_dropout(features, drop_rate=1.0, threshold=0.8)
    tensor([[[[1., 0., 0.]]]])
    """
    if torch.compiler.is_compiling():
        drop = draw_drop(features.detach(), float(drop_rate))
        dropped = drop_mask(features, threshold).to(features.dtype)
        return features * torch.where(drop, dropped, importance_map(features))
    # The draw stays on the CPU: a draw on the GPU would make the host wait for the device.
    if float(torch.rand(())) < drop_rate:
        return features * drop_mask(features, threshold)
    return features * importance_map(features)


# An opaque operation for the compiler, so that the draw is made in each step, by the same generator
# as without a compiler. The operation depends on the features, so layers draw in the order in which
# they run. A CUDA graph would repeat the first draw.
@torch.library.custom_op(
    "wsol::draw_drop",
    mutates_args=(),
    tags=(torch.Tag.nondeterministic_seeded, torch.Tag.cudagraph_unsafe),
)
def draw_drop(features: Tensor, drop_rate: float) -> Tensor:
    """Draw whether the drop mask is applied: bool ``()`` on the device of the features."""
    return torch.full((), float(torch.rand(())) < drop_rate, device=features.device)


@draw_drop.register_fake
def _(features: Tensor, drop_rate: float) -> Tensor:
    return features.new_empty((), dtype=torch.bool)


class ADL(nn.Module):
    """Attention-based Dropout Layer: no parameters, the identity in evaluation mode.

    Args:
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: gamma, fraction of the maximum attention above which a pixel is dropped.

    Raises:
        ConfigError: an option outside [0, 1].

    Source: Choe & Shim, CVPR 2019, section 3.

    >>> layer = ADL(drop_rate=0.75, threshold=0.9)
    >>> features = torch.rand(2, 8, 4, 4)
    >>> layer.eval()(features) is features, len(layer.state_dict())
    (True, 0)
    """

    def __init__(self, drop_rate: float = 0.75, threshold: float = 0.9) -> None:
        """Store the options."""
        super().__init__()
        Config(drop_rate=drop_rate, threshold=threshold)
        self.drop_rate, self.threshold = drop_rate, threshold

    def forward(self, features: Tensor) -> Tensor:
        """Return the features ``(N, C, h, w)``, in training with one of the maps applied."""
        if not self.training:
            return features
        return attention_dropout(features, self.drop_rate, self.threshold)

    def extra_repr(self) -> str:
        """Return the options, for ``repr``."""
        return f"drop_rate={self.drop_rate}, threshold={self.threshold}"
