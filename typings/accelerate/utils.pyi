from typing import TypeVar

T = TypeVar("T")

def convert_to_fp32(tensor: T) -> T: ...
