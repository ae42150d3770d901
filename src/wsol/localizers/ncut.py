"""Normalized cuts of the similarity graph of one image: TokenCut and MaskCut."""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from wsol.localizers._forward import ForwardPass
from wsol.localizers.base import ScoreMaps, Size, check_grids, resized
from wsol.localizers.features import leading_direction
from wsol.maps._components import label_components
from wsol.models.heads import FLAT

FAINT = 1e-5
"""Edge weight of dissimilar positions: epsilon of TokenCut, section 3.2."""

MOST_CORNERS = 2
"""Maximum number of image corners that an object covers."""

MAX_CUTS = 3
"""Maximum number of MaskCut objects per image: N of its section 3.2."""

SAMPLED_ROWS = 64
"""Approximate number of positions whose cosines estimate the median of all pairs."""

STEPS = 24
"""Steps of the Lanczos iteration: the eigenvector of a photograph's graph is exact after 20."""


class NCut(ScoreMaps):
    """TokenCut: the object is one of the two sides of a normalized cut.

    It is intended for self-supervised transformers, and works with any network.

    The positions of the last stage are the nodes of a graph, whose edges join similar positions.
    The eigenvector of the second smallest eigenvalue of its normalized Laplacian is split at its
    mean; the object is the side of the largest absolute value, unless that side contains more than
    two corners of the image. The map is linear in the eigenvector on each side: 0.5 at the cut, 0
    and 1 at the extremes, so that a threshold of 0.5 gives the published partition.

    Source: Wang et al., Self-Supervised Transformers for Unsupervised Object Discovery using
    Normalized Cut, CVPR 2022, section 3.2. There two positions are similar if the cosine of their
    keys in the last attention is above 0.2; here if the cosine of their features in the last stage
    is above the median of all pairs, which suits any network. The corner rule is MaskCut's.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> NCut(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    sees_classes = False
    needs_classes = False
    unexportable = "needs eigenvectors of each image's features"

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)`` in [0, 1]."""
        # One image at a time, as its matrix stays in the processor's cache.
        return torch.stack([normalized_cut(own) for own in features])


class MaskCut(NCut):
    """MaskCut: multiple objects by repeated cuts.

    Each of three cuts finds an object as ``NCut`` does, keeps the connected component at the
    largest value, and removes it from the graph. Touching objects of different cuts are separated
    by a line of zeros, so that each has a box if multiple instances are requested. The lower the
    cost of its cut, the higher the map of an object.

    Source: Wang et al., Cut and Learn for Unsupervised Object Detection and Instance Segmentation,
    CVPR 2023, section 3.2. Similarity is that of ``NCut``. There all three are objects; here the
    second and the third are objects only if they have a larger fraction of all possible edges to
    the first object than to the remaining positions. Otherwise most of them are background.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> MaskCut(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    def label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return one map ``(N, H, W)`` of all objects of each image."""
        features = [forward_pass.features[layer] for layer in self.layers]
        check_grids(features, forward_pass.images)
        found = []
        for images in zip(*features, strict=True):
            objects = [resized(repeated_cuts(own), size, self.interpolation) for own in images]
            found.append(set_apart(torch.cat(objects)))
        return torch.stack(found)


def normalized_cut(features: Tensor) -> Tensor:
    """Return the map ``(h, w)`` in [0, 1] of one image's object, 0.5 at the cut.

    Its features are ``(C, h, w)``.
    """
    nodes = torch.ones(features.shape[1:], dtype=torch.bool, device=features.device)
    return cut(likeness(features), nodes)[0]


def repeated_cuts(features: Tensor, number: int = MAX_CUTS) -> Tensor:
    """Return maps ``(number, h, w)`` of multiple objects of one image ``(C, h, w)``.

    Each is above 0.5 inside its object and zero outside; objects do not overlap. Maps are zero if a
    cut finds no object, or no positions are left.
    """
    weights = likeness(features)
    maps = features.new_zeros(number, *features.shape[1:])
    nodes = torch.ones_like(maps[0], dtype=torch.bool)
    for index in range(number):
        if nodes.sum() < 2:
            break
        found, value = cut(weights, nodes)
        inside = connected_component(found > 0.5, int(found.argmax()))
        nodes = nodes & ~inside
        edges = weights[inside.flatten()]
        alike, rest = (edges[:, each.flatten()].mean() for each in (maps[0] > 0, nodes))
        if index == 0 or alike > rest:
            # Above 0.5, higher for a better cut.
            maps[index] = inside * (0.5 + (found - 0.5) * value.clamp(min=FLAT))
    return maps


def likeness(features: Tensor) -> Tensor:
    """Return the edge weights ``(h * w, h * w)`` of the graph of one image ``(C, h, w)``.

    They are 1 for the more similar half of all pairs of positions, by the cosine of their features,
    and ``FAINT`` for the others.
    """
    points = normalize(features.flatten(1), dim=0)
    cosines = points.T @ points
    # A sample of rows is enough; their step is odd, so as not to align with the grid's columns.
    median = cosines[:: len(cosines) // SAMPLED_ROWS | 1].median()
    # Rounding errors of equal features are not differences.
    return torch.where(cosines > median - FLAT, 1.0, FAINT)


def cut(weights: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the subgraph of some nodes ``(h, w)`` in two.

    The edge weights ``(h * w, h * w)`` are symmetric and positive. The result is the map
    ``(h, w)``, zero at other positions, and 1 minus the eigenvalue: 1 if no edge is cut.
    """
    inside = nodes.flatten()
    value, vector = second_eigenvector(weights[inside][:, inside])
    centred = vector - vector.mean()
    if centred[vector.abs().argmax()] < 0:
        centred = -centred
    found = torch.zeros_like(nodes, dtype=vector.dtype)
    found[nodes] = centred
    if (found[[0, 0, -1, -1], [0, -1, 0, -1]] > 0).sum() > MOST_CORNERS:
        centred = -centred
    extreme = torch.where(centred > 0, centred.max(), -centred.min())
    found[nodes] = 0.5 + 0.5 * centred / extreme.clamp(min=torch.finfo(extreme.dtype).tiny)
    return found, value


def connected_component(mask: Tensor, place: int) -> Tensor:
    """Return the 8-connected component of a mask ``(h, w)`` at a position of the flat mask."""
    labels, _ = label_components(mask.cpu().numpy())
    return torch.from_numpy(labels == labels.flat[place]).to(mask.device) & mask


def set_apart(maps: Tensor) -> Tensor:
    """Merge maps ``(K, H, W)`` of objects into one, with zeros where two objects touch.

    Each map is zero or negative outside its object.
    """
    best, owner = maps.max(0)
    names = torch.where(best > 0, owner + 1.0, 0.0)[None]
    highest = max_pool2d(names, 3, 1, 1)
    lowest = -max_pool2d(torch.where(names > 0, -names, -torch.inf), 3, 1, 1)
    return best.clamp(min=0) * (highest <= lowest)[0]


def second_eigenvector(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the solution of (D - W) y = λ D y with the second smallest λ.

    D is the diagonal matrix of the row sums of W. Substituting z = D^½ y gives a symmetric problem,
    whose first eigenvector is known: the square roots of D.

    Returns 1 - λ, and y ``(P,)``; both are zero if all weights are equal.

    Source: Shi & Malik, Normalized Cuts and Image Segmentation, TPAMI 2000, section 2.1.
    """
    roots = weights.sum(1).sqrt()
    first = normalize(roots, dim=0)
    rest = weights / torch.outer(roots, roots) - torch.outer(first, first)
    value, vector = largest_eigenvector(rest)
    is_cut = value > FLAT
    return value * is_cut, vector / roots * is_cut


def largest_eigenvector(matrix: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalue of a symmetric matrix, and its eigenvector of length one.

    Lanczos iteration with full orthogonalization: the best vector in the Krylov subspace of as many
    products as ``steps``. It is about thirty times as fast as a full decomposition.

    Source: Golub & Van Loan, Matrix Computations, 4th edition, section 10.1.
    """
    size = len(matrix)
    steps = min(steps, size)
    basis, products = matrix.new_zeros(steps, size), matrix.new_zeros(steps, steps)
    following = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(matrix)
    for step in range(steps):
        basis[step] = normalize(following, dim=0)
        following = matrix @ basis[step]
        products[step] = products[:, step] = basis @ following
        # The first orthogonalization leaves rounding errors.
        for _ in range(2):
            following = following - (basis @ following) @ basis
    vector = leading_direction(products) @ basis
    return vector @ matrix @ vector, vector
