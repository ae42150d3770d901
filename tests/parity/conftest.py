"""Makes the helper beside it importable: the tests run with importlib's import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
