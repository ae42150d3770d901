from typing import Any

from torchvision.models.inception import Inception3 as Inception3

def get_model_weights(name: str) -> Any: ...
