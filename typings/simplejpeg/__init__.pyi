import numpy as np
from numpy.typing import NDArray

def decode_jpeg(data: bytes, colorspace: str = ...) -> NDArray[np.uint8]: ...
