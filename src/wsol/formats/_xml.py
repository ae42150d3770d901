"""XML that is written as text, so that nothing needs to be held."""

from xml.sax.saxutils import escape, quoteattr

from wsol.portable import portable


def element(name: str, content: object, indent: int = 0) -> str:
    """Return a line with one element that holds text.

    Args:
        name: of the element.
        content: its text, which is made ``portable`` and escaped.
        indent: spaces in front.

    >>> element("name", "<b>").strip()
    '<name>&lt;b&gt;</name>'
    """
    return f"{' ' * indent}<{name}>{escape(portable(str(content)))}</{name}>\n"


def attributes(**values: object) -> str:
    """Return attributes as they stand in a tag, made ``portable`` and quoted.

    >>> attributes(name="a<b", id=1)
    ' name="a&lt;b" id="1"'
    """
    return "".join(f" {name}={quoteattr(portable(str(value)))}" for name, value in values.items())


def pixels(value: float) -> str:
    """Return a coordinate to a thousandth of a pixel, a whole one without a point.

    >>> pixels(12.0), pixels(12.34567)
    ('12', '12.346')
    """
    return f"{value:.3f}".rstrip("0").rstrip(".")
