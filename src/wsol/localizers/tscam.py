"""TS-CAM's coupling: where a transformer attends, times where the class is."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.localizers._forward import Look
from wsol.localizers.cam import CAM
from wsol.localizers.transformer import checked, patches_of


class TSCAM(CAM):
    """The mean attention of all layers times the class activation maps of the patch tokens.

    Args:
        model: a transformer whose layers all attend to one grid of patches.
        options: as of ``ScoreMaps``.

    Source: Gao et al., TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object
    Localization, ICCV 2021, equations 6 to 8; maps and attention of any classifier stand for those
    of the network trained there.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> TSCAM(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    needs_attention = True

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return the coupled maps ``(N, h, w)`` of each tap."""
        layers = checked(look)
        attention = torch.stack([layer.mean(1) for layer in layers]).mean(0)
        seen = patches_of(attention, look)
        return [
            maps * interpolate(seen[:, None], maps.shape[1:], mode="bilinear")[:, 0]
            for maps in super().score_maps(look, labels)
        ]
