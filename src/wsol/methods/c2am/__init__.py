"""Class-agnostic contrast (C2AM; Xie et al., CVPR 2022).

Source: Xie et al., C2AM: Contrastive learning of Class-agnostic Activation Map for Weakly
Supervised Object Localization and Semantic Segmentation, CVPR 2022, section 3, equations 1 to 9.

Known deviations: the convolution is 1x1, where the paper's is 3x3; it reads two layers, on the grid
of the finer one, and each channel is standardized first; so are the channels of the features that
are contrasted, without their means being taken out; a linear classifier learns
beside it, where the paper takes the classes from another network. Which side of the map is the
foreground is open in the losses. Here it is the side with more of the classifier's own map.
"""
