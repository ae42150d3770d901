from torch import nn

cfgs: dict[str, list[str | int]]

def make_layers(cfg: list[str | int]) -> nn.Sequential: ...
