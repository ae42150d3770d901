from torch import nn

class InceptionB(nn.Module):
    branch3x3: nn.Module
    branch3x3dbl_1: nn.Module
    branch3x3dbl_2: nn.Module
    branch3x3dbl_3: nn.Module
    def __init__(self, in_channels: int) -> None: ...

class Inception3(nn.Module):
    def __init__(self, *, aux_logits: bool, init_weights: bool) -> None: ...
