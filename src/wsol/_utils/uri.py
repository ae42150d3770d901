"""Places that are not on this machine's disks, as options name them."""

import re
from pathlib import Path

SCHEMES = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss", "file")
"""Of the file systems that pyarrow opens."""

_URI = re.compile(f"({'|'.join(SCHEMES)}):/+")


def is_uri(path: Path | str) -> bool:
    """Return whether a path is a URI.

    Args:
        path: also one that was a ``Path``, which leaves a single slash of ``s3://``.

    >>> is_uri("s3://bucket/photos"), is_uri(Path("s3://bucket/photos")), is_uri("photos/s3")
    (True, True, False)
    """
    return _URI.match(str(path)) is not None


def uri_of(path: Path | str) -> str:
    """Return a URI as it was given.

    Args:
        path: a URI that may have been a ``Path``.

    >>> uri_of(Path("s3://bucket/photos")), uri_of(Path("file:///photos"))
    ('s3://bucket/photos', 'file:///photos')
    """
    text = str(path)
    slashes = ":///" if text.startswith("file:") else "://"
    return _URI.sub(lambda found: f"{found[1]}{slashes}", text, count=1)


def shown(uri: str) -> str:
    """Return a URI without what may be a key or a password, for messages and results.

    Args:
        uri: any.

    >>> shown("s3://key:secret@bucket/photos?region=eu-west-1")
    's3://bucket/photos'
    """
    scheme, _, rest = uri.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
