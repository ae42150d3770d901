"""Maps of prototypes against a slow reference in numpy."""

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.localizers._forward import observe
from wsol.localizers._layers import outline_stage
from wsol.localizers.ensemble import follow_details
from wsol.localizers.prototypes import (
    Prototypes,
    discriminant_posterior,
    inverse_covariance,
    principal_components,
    share_prototypes,
)
from wsol.models import create_network
from wsol.models.heads import scaled_maps


def scaled(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each map between 0 and 1."""
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.asarray((maps - low) / (high - low))


def reference(
    points: NDArray[np.float64], seed: NDArray[np.float64], evidence: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the maps of a collection, image by image, from descriptors ``(N, h, w, D)``."""
    count, dimensions = len(points), points.shape[-1]
    maps = np.zeros_like(seed)
    for n in range(count):
        inside = seed[n] * evidence[n]
        outside = (1 - seed[n]) ** 2 + (seed[n] * (1 - evidence[n])) ** 2
        centred = points[n] - points[n].mean((0, 1))
        means = [
            np.average(centred.reshape(-1, dimensions), axis=0, weights=w.ravel())
            for w in (inside, outside)
        ]
        lengths = np.linalg.norm(centred, axis=-1)
        cosines = [centred @ mean / lengths / np.linalg.norm(mean) for mean in means]
        posterior = 1 / (1 + np.exp(-8 * (cosines[0] - cosines[1])))
        maps[n] = np.sqrt(seed[n] * posterior)
    maps = scaled(maps)
    for _ in range(4):
        flat = points.reshape(count, -1, dimensions)
        weights = [(maps**2).reshape(count, -1), ((1 - maps) ** 2).reshape(count, -1)]
        own = np.array(
            [
                [np.average(f, axis=0, weights=w) for f, w in zip(flat, each, strict=True)]
                for each in weights
            ]
        )
        covariance = np.mean(
            [np.cov(flat[n].T, aweights=each[n], ddof=0) for each in weights for n in range(count)],
            axis=0,
        )
        covariance += 0.02 * np.trace(covariance) * np.eye(dimensions)
        for n in range(count):
            lengths = np.linalg.norm(own[0], axis=1)
            cosines = own[0] @ own[0, n] / lengths / lengths[n]
            shares = np.maximum(cosines, 0)
            shares[n] += 0.3
            inside, outside = (np.average(each, axis=0, weights=shares) for each in own)
            direction = np.linalg.solve(covariance, inside - outside)
            odds = (points[n] - (inside + outside) / 2) @ direction
            odds *= 4 / ((inside - outside) / 2 @ direction)
            maps[n] = seed[n] ** 0.37 * (1 / (1 + np.exp(-odds))) ** 0.63
        maps = scaled(maps)
    return maps


def test_maps_are_those_of_a_slow_reference(images: Tensor) -> None:
    """From the localizer's own seed, evidence and descriptors."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = Prototypes(network)
    localizer.affinity_layer = None
    localizer.fit([images[:2], images[2:]])
    forward_pass = observe(network, images, [*localizer.layers, *localizer.extra_layers])
    seen = localizer.observe_places(forward_pass, forward_pass.logits.argmax(1))
    points = 0.0
    for name, maps in seen.features.items():
        part = torch.einsum("nchw,cd->ndhw", maps, localizer.fitted[f"basis.{name}"])
        points = points + interpolate(part, seen.seed.shape[1:], mode="bilinear")
    points = (points - localizer.fitted["offset"][:, None, None]).permute(0, 2, 3, 1)
    expected = reference(
        points.double().numpy(), seen.seed.double().numpy(), seen.evidence.double().numpy()
    )
    found = localizer.score_maps(forward_pass, forward_pass.logits.argmax(1))[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


def test_maps_take_on_the_outlines_of_a_finer_stage(images: Tensor) -> None:
    """Which is no part of what is fitted, and gives the maps their size."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer, coarse = Prototypes(network), Prototypes(network)
    coarse.affinity_layer = None
    forward_pass = observe(network, images, [*localizer.layers, *localizer.extra_layers])
    labels = forward_pass.logits.argmax(1)
    coarse.fit([images])
    localizer.load_state(coarse.state())
    assert localizer.affinity_layer == outline_stage(network)
    assert localizer.affinity_layer not in localizer.described_by
    details = forward_pass.features[localizer.affinity_layer]
    expected = follow_details(coarse.score_maps(forward_pass, labels)[0], details)
    assert torch.equal(localizer.score_maps(forward_pass, labels)[0], expected)


def test_augmentations_look_at_all_that_prototypes_need(images: Tensor) -> None:
    """Flipped, in a product, and with affinity."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = create_localizer("prototypes*cam", network, flip=True, affinity="auto")
    localizer.fit([images])
    assert localizer.affinity_layer == outline_stage(network)
    assert localizer(images).shape == (len(images), *images.shape[2:])


def test_augmentations_may_be_of_several_sizes(images: Tensor) -> None:
    """What smaller augmentations show is brought to the places of the first, and counts as much."""
    network = create_network("test_resnet", num_classes=5, pretrained=False).eval()
    localizer = create_localizer("prototypes", network, scales=(1, 0.5), flip=True)
    localizer.fit([images])
    (part,) = localizer.localizers
    assert part.fitted["prototypes.0"].shape[1] == 4 * len(images)
    maps = localizer(images)
    assert maps.shape == (len(images), *images.shape[2:])
    assert maps.isfinite().all()


def test_multiple_labels_share_positions(images: Tensor) -> None:
    """Their maps are alike, so each place stays in the map of one label alone."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = create_localizer("prototypes", network, several=True)
    localizer.fit([images])
    labels = torch.tensor([[0, 1], [2, 3], [1, -1]])
    maps = localizer(images, labels)
    assert maps.shape == (3, 2, *images.shape[2:])
    assert not maps.prod(1).any()
    assert not maps[2, 1].any()
    alone = create_localizer("prototypes", network)
    alone.load_state(localizer.state())
    own = scaled_maps(alone(images, labels[:, 0]))
    torch.testing.assert_close(maps[:, 0], own * (maps[:, 0] != 0))
    torch.testing.assert_close(maps[2, 0], own[2])


def test_components_are_the_principal_ones() -> None:
    """Projections vary as much as those on the components of a singular value decomposition."""
    generator = torch.Generator().manual_seed(0)
    parts = {
        "a": torch.randn(3, 6, 8, 8, generator=generator) * torch.arange(6)[:, None, None],
        "b": torch.randn(3, 4, 8, 8, generator=generator) + 3,
    }
    found = principal_components(parts, (8, 8), 3)
    columns = []
    for maps in parts.values():
        centred = maps - maps.mean((0, 2, 3), keepdim=True)
        columns.append(centred / centred.square().sum(1).mean().sqrt())
    points = torch.cat(columns, 1)[:, :, ::2, ::2].transpose(0, 1).flatten(1).T
    lengths = torch.linalg.svdvals(points)[:3]
    own = sum(
        torch.einsum("nchw,cd->ndhw", maps, found[f"basis.{name}"]) for name, maps in parts.items()
    )
    own = (own - found["offset"][:, None, None])[:, :, ::2, ::2].transpose(0, 1).flatten(1).T
    torch.testing.assert_close(own.norm(dim=0).flip(0), lengths, rtol=1e-3, atol=1e-3)


def test_a_discriminant_is_even_half_way_between_the_prototypes() -> None:
    """And the odds at the prototypes are opposite."""
    means = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    points = torch.tensor([[[1.0, 5.0], [2.0, 0.0], [0.0, 0.0]]])
    even, inside, outside = discriminant_posterior(points, means, torch.eye(2))[0].tolist()
    assert even == pytest.approx(0.5)
    assert inside == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-5)
    assert outside == pytest.approx(1 - inside, rel=1e-5)


def test_images_that_are_alike_share_more() -> None:
    """An image of two groups shares with its group, and an isolated one keeps its prototypes."""
    others = torch.tensor([[[1.0, 0.0, 0], [1.0, 0.2, 0], [0.0, 1.0, 0]]]).repeat(2, 1, 1)
    own = torch.tensor([[[1.0, 0.0, 0], [0.0, 0.0, 1]], [[0.0, 0.0, 0], [0.0, 0.0, 2]]])
    shared = share_prototypes(own, others)
    assert shared[0, 0, 0] == pytest.approx(1)
    assert shared[:, 1].tolist() == own[:, 1].tolist()


def test_covariance_is_that_inside_objects_and_backgrounds() -> None:
    """A shift of whole images does not change it."""
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(3, 12, 4, generator=generator)
    weights = (torch.rand(3, 3, 4, generator=generator), torch.rand(3, 3, 4, generator=generator))
    moved = points + torch.randn(3, 1, 4, generator=generator)

    def found(given: Tensor) -> Tensor:
        own = torch.stack(
            [
                torch.stack(
                    [
                        (p * w.flatten()[:, None]).sum(0) / w.sum()
                        for p, w in zip(given, each, strict=True)
                    ]
                )
                for each in weights
            ]
        )
        return inverse_covariance(given, weights, own)

    torch.testing.assert_close(found(points), found(moved), rtol=1e-3, atol=1e-3)


def test_a_label_changes_the_map_of_a_network_with_a_linear_classifier(images: Tensor) -> None:
    """Any other network has the same map for all labels, and says so."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = create_localizer("prototypes", network)
    localizer.fit([images])
    zeros, ones = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    assert localizer.sees_classes
    assert not torch.equal(localizer(images, zeros), localizer(images, ones))
    vit = timm.create_model("test_vit", img_size=images.shape[-1])
    other = create_localizer("prototypes", vit, image_size=images.shape[-1])
    other.fit([images])
    assert not other.sees_classes
    torch.testing.assert_close(other(images, zeros), other(images, ones))


def test_a_fit_is_needed_and_kept(images: Tensor) -> None:
    """One of other layers is refused."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    fitted, other = Prototypes(network), Prototypes(network, layers=["layer2", "layer3"])
    with pytest.raises(ConfigError, match="fit"):
        fitted(images)
    with pytest.raises(ConfigError, match="fit"):
        fitted.fit([])
    fitted.fit([images])
    with pytest.raises(ConfigError, match="other layers"):
        other.load_state(fitted.state())
    again = Prototypes(network)
    again.load_state(fitted.state())
    assert torch.equal(again(images), fitted(images))


def test_images_without_content_have_constant_maps(images: Tensor) -> None:
    """They do no harm to others, nor do features that are not finite."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = Prototypes(network)
    localizer.fit([torch.cat([images, torch.zeros_like(images[:1])])])
    found = localizer(torch.cat([images, torch.zeros_like(images[:1])]))
    assert found.isfinite().all()
    localizer.fit([images, torch.full_like(images, torch.nan)])
    assert localizer(images).isfinite().all()


def test_a_head_of_two_branches_has_no_class_evidence(images: Tensor) -> None:
    """ACoL has no single linear classifier; the seed takes its place."""
    network = create_network("test_resnet", num_classes=4, method="acol", pretrained=False)
    localizer = Prototypes(network)
    localizer.fit([images])
    assert not localizer.sees_classes
    assert localizer(images).isfinite().all()
