"""Every (E18) in text and code becomes a link to the equation, which shows where one points at it;
and a long name in a table may go on in the next line, after a _ or a /.

A Sphinx extension, working on a finished page: only there is highlighted code text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from minivae.study.book.formulas import drawn
from minivae.study.index import equations

PAGE = "maths.html"
NUMBER = re.compile(r"\bE(\d{1,2})\b")
TAGS = re.compile(r"(<[^>]*>)")
NAME = re.compile(r"</?\s*([a-zA-Z][\w-]*)")
BREAK = re.compile(r"(?<=\w)([_/])(?=\w)")
QUIET = {"a", "svg", "math", "script", "style", "h1", "title", "summary"}  # nothing is linked there


def linked(body: str, known: frozenset[int], here: str = "") -> str:
    """The page's HTML with each mention of a known equation as a link to it.

    here: the page's own file name; on the equations' page the links stay within it.
    """
    place = "" if here == PAGE else PAGE
    quiet: list[str] = []
    pieces, tables = [], 0
    for piece in TAGS.split(body):
        if piece.startswith("<"):
            follow(piece, quiet)
            tables += piece.startswith("<table") - piece.startswith("</table")
        elif not quiet:
            piece = BREAK.sub(r"\1<wbr>", piece) if tables else piece
            piece = NUMBER.sub(link_to(place, known), piece)
        pieces.append(piece)
    return "".join(pieces)


def link_to(place: str, known: frozenset[int]) -> Callable[[re.Match[str]], str]:
    """What a mention is replaced by."""

    def replacement(match: re.Match[str]) -> str:
        n = int(match[1])
        if n not in known:
            return match[0]
        return f'<a class="eq" href="{place}#e{n}">{match[0]}</a>'

    return replacement


def follow(tag: str, quiet: list[str]) -> None:
    """Keep count of the elements, now open, in which nothing is linked."""
    match = NAME.match(tag)
    if match is None or match[1].lower() not in QUIET or tag.endswith("/>"):
        return
    if not tag.startswith("</"):
        quiet.append(match[1].lower())
    elif quiet and quiet[-1] == match[1].lower():
        quiet.pop()


def script_of_equations() -> str:
    """A script that holds every equation's picture, for the page's pop-ups."""
    pictures = {e.number: drawn(e.latex, True).svg() for e in equations()}
    return f"window.EQUATIONS = {json.dumps(pictures, separators=(',', ':'))};\n"


def _page(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        known = frozenset(e.number for e in equations())
        context["body"] = linked(context["body"], known, f"{name}.html")


def setup(app: Any) -> dict[str, Any]:
    """Work on each page once it is HTML."""
    app.connect("html-page-context", _page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
