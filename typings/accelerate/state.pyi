import torch

class AcceleratorState:
    device: torch.device
    mixed_precision: str
    def __init__(self) -> None: ...

def is_initialized() -> bool: ...
