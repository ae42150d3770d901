"""Names that are needed without loading a network."""

BUNDLED_BACKBONE = "tf_efficientnet_lite0"
"""Its ImageNet weights come with an installed package, so it needs no download."""
