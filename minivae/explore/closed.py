"""One HTML file with everything in it, and a policy that allows exactly that and no request.

The Content-Security-Policy knows the style and the script by their hashes; whatever else a page
could ask for, from this machine or another, the browser refuses.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from minivae.types import Array


def closed_page(
    body: str, style: str, scripts: Iterable[str], content: Any, words: dict[str, str]
) -> str:
    """The page around a body, with all {{places}} filled.

    body: HTML that may name the keys of `words`, which are plain text; one of them is the title.
    scripts: sources, in the order in which they run. content: becomes JSON. Raises ValueError where
    a number of the content is not finite, KeyError for an unknown place.
    """
    script = "\n".join(scripts)
    # "<" inside JSON strings could close the script element early
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; "
        f"style-src '{digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    said = {name: html.escape(text) for name, text in words.items()}
    parts = said | {
        "body": filled(body, said),
        "policy": html.escape(policy, quote=True).replace("&#x27;", "'"),
        "style": style,
        "script": script,
        "content": data,
    }
    return filled(asset("minivae.explore", "frame.html"), parts)


def filled(template: str, parts: dict[str, str]) -> str:
    """The template with each {{name}} replaced by that part; KeyError where there is none."""
    head, *rest = template.split("{{")
    return head + "".join(
        parts[name] + after for name, after in (piece.split("}}", 1) for piece in rest)
    )


def asset(package: str, name: str) -> str:
    """The text of a file that lies in a package; `name` may hold folders."""
    return resources.files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """The hash by which a Content-Security-Policy knows an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def encoded(array: Array) -> str:
    """Base64 of the array's bytes, row by row, little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C")
    return base64.b64encode(little.tobytes()).decode()
