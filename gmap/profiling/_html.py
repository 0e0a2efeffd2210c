"""The report as one page that loads nothing: for people to send to each other. Floor 4.

Needs jinja2 and matplotlib. Every figure on the page carries the path of its value in the JSON
(`data-key`) and the value itself (`data-value`); the JSON is in the page, too.
"""

import html
import json
import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmap.profiling._export import need
from gmap.profiling._format import shown, shown_change
from gmap.profiling._sections import FACTS, TABLES, at_path

if TYPE_CHECKING:
    from gmap.profiling._compare import Comparison
    from gmap.profiling._profile import Profile

__all__ = ["comparison_html", "notebook_html", "profile_html", "write_html"]


def _template(name: str) -> Any:
    need("jinja2")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["embedded"] = _embedded
    return environment.get_template(name)


def _embedded(text: str) -> Any:
    """JSON that cannot end the element it is in."""
    from markupsafe import Markup

    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _figure(document: Any) -> Any:
    """Return the function that writes one figure: its path, and how its unit is called."""
    from markupsafe import Markup

    def write(path: str, key: str | None = None, *, change: bool = False) -> Any:
        value = at_path(document, path)
        name = key or path.rpartition("/")[2]
        if isinstance(value, dict):
            parts = [
                Markup('<span><span class="unit">{}</span> {}</span>').format(
                    part, write(f"{path}/{part}", name)
                )
                for part in value
            ]
            return Markup("<br>").join(parts) if parts else "-"
        if isinstance(value, str) or value is None:
            return shown(name, value)
        text = shown_change(name, value) if change else shown(name, value)
        exact = json.dumps(value)
        return Markup('<span data-key="{}" data-value="{}" title="{}">{}</span>').format(
            path, exact, exact, text
        )

    return write


def profile_html(profile: "Profile", *, fragment: bool = False) -> str:
    """Return the page of a profile; `fragment` leaves out the frame and the long tables."""
    from markupsafe import Markup

    from gmap.profiling._plots import PLOTS, inline_svg

    need("matplotlib")
    document = profile.to_dict()
    names = [name for name in PLOTS if name != "timeline" or document["timeline"]]
    plots = {name: Markup(inline_svg(name, document)) for name in names}
    text: str = _template("report.html.jinja").render(
        document=document,
        facts=FACTS,
        tables=[(table, at_path(document, table.path)) for table in TABLES],
        plots=plots,
        fig=_figure(document),
        raw=profile.to_json(),
        fragment=fragment,
    )
    return text


def comparison_html(comparison: "Comparison") -> str:
    """Return the page of a comparison: what changed, and the plots of both."""
    from markupsafe import Markup

    from gmap.profiling._plots import inline_svg

    need("matplotlib")
    document = comparison.to_dict()
    plots = {}
    for name in ("linear-map", "mapped-map", "levels", "reach"):
        both = []
        for side, profile in (("a", comparison.a), ("b", comparison.b)):
            svg = inline_svg(name, profile.to_dict())
            # One page holds both, and their ids must differ.
            both.append(Markup(svg.replace(f"{name}-", f"{side}-{name}-")))
        plots[name] = both
    text: str = _template("comparison.html.jinja").render(
        document=document, plots=plots, fig=_figure(document), raw=comparison.to_json()
    )
    return text


def notebook_html(profile: "Profile") -> str:
    """Return what a notebook shows: the page in a frame of its own, or text where that fails."""
    from gmap.errors import ConfigError

    try:
        page = profile_html(profile)
    except ConfigError:
        return f"<pre>{html.escape(str(profile))}</pre>"
    return (
        f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:720px;border:0" '
        'sandbox=""></iframe>'
    )


def write_html(what: "Profile | Comparison", path: str | PathLike[str] | None) -> str:
    """Return the page, and write it to a file, whole or not at all."""
    from gmap.profiling._compare import Comparison

    page = comparison_html(what) if isinstance(what, Comparison) else profile_html(what)
    if path is not None:
        target = Path(path)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(page)
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    return page


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
