from torchvision import models as models
from torchvision import ops as ops
