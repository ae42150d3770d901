"""Self-produced Guidance (Zhang et al., ECCV 2018).

Source: Zhang et al., Self-produced Guidance for Weakly-supervised Object Localization, ECCV 2018,
section 3, as the re-evaluation of Choe et al. (CVPR 2020) implements it.

Known deviations: on a network of timm the guided branches sit on its third and second last stage,
with new layers drawn by Xavier's rule. The re-evaluation's networks add layers to VGG16 and
InceptionV3; those are ``wsolevaluation/...`` with this method. Masks without one pixel of either
kind add nothing to the loss, where the published code gives NaN. In evaluation the guided branches
do not run.
"""
