"""The files of the page: those of a report, led by scripts of the app's own."""

from pathlib import Path

import wsol.reports

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}

SCRIPTS = ("api.js", "uploads.js", "choices.js", "app.js")
"""Instead of the one that starts a report."""


def page_files() -> dict[str, bytes]:
    """Return the content of each file by its name; nothing else is ever served.

    >>> {"index.html", "app.js", "maps.js"} < set(page_files())
    True
    """
    files = {
        file.name: file.read_bytes()
        for folder in (Path(wsol.reports.__path__[0], "page"), Path(__file__).with_name("page"))
        for file in sorted(folder.iterdir())
        if file.suffix in MEDIA_TYPES
    }
    files["index.html"] = app_index(files["index.html"].decode("utf-8")).encode("utf-8")
    return files


def app_index(report: str) -> str:
    r"""Return the app's ``index.html``.

    Args:
        report: that of a report, a line for each file.

    >>> print(app_index('<title>wsol report</title>\n<script defer src="data/index.js"></script>'))
    <title>wsol app</title>
    """
    style = '<link rel="stylesheet" href="page/app.css">'
    scripts = [f'<script defer src="page/{name}"></script>' for name in SCRIPTS]
    lines = []
    for line in report.splitlines():
        if "page/start.js" in line:
            lines += [style, *scripts]
        # Other than a report, the app may ask its server; a header says what else it may do.
        elif "data/index.js" not in line and "Content-Security-Policy" not in line:
            lines.append(line.replace("<title>wsol report<", "<title>wsol app<"))
    return "\n".join(lines)
