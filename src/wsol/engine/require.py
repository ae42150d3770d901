"""What options may be."""

from wsol.errors import ConfigError


def require(good: bool, option: str, value: object, rule: str) -> None:
    """Refuse an option's value.

    Args:
        good: whether it may be.
        option: its name.
        value: that it has.
        rule: what it must be.

    Raises:
        ConfigError: it may not be.

    >>> require(1 > 0, "epochs", 1, "at least 1")
    """
    if not good:
        raise ConfigError(f"{option} is {value}: it must be {rule}")
