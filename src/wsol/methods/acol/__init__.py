"""Adversarial Complementary Learning (Zhang et al., CVPR 2018).

Source: Zhang et al., Adversarial Complementary Learning for Weakly Supervised Object
Localization, CVPR 2018, section 3, as the re-evaluation of Choe et al. (CVPR 2020) implements it.

Known deviations: on a network of timm the branches sit on its last feature maps, with new layers
drawn by Xavier's rule. The re-evaluation's networks also change pooling layers of VGG16; those are
``wsolevaluation/...`` with this method. In evaluation the second branch runs for score maps alone,
since the logits are the first one's. A map that is the same everywhere erases nothing, where the
published code divides by zero.
"""
