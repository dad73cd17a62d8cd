"""Text for people from values of unknown size and content: bounded, on one line, printable."""

from __future__ import annotations

import re
from typing import Any

# The end of a sentence's line, with the next one's indent; a break within a word is a name's.
_BREAK = r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]"
_BREAKS = re.compile(rf"[ ]+{_BREAK}+[ ]*|{_BREAK}+[ ]+|(?<=[.,:;!?)]){_BREAK}+")
MOST = 600  # characters of a message
MOST_OF_A_VALUE = 80
BITS = 300  # of a whole number that is still written out


def shown(value: object, most: int = MOST_OF_A_VALUE) -> str:
    """`repr` of a value for a message, cut in the middle beyond `most` characters.

    Whole numbers of many digits are told by their size: Python refuses to write them out.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > BITS:
        sign = "-" if value < 0 else ""
        return f"{sign}(a number of about {round(value.bit_length() * 0.30103):,} digits)"
    if isinstance(value, str) and len(value) > 4 * most:
        value = value[: 2 * most] + value[-2 * most :]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number or a nesting that Python will not write out
        text = f"({type(value).__name__} too large to write out)"
    return cut(text, most)


def printable(text: str) -> str:
    """The text with whatever a terminal would obey or hide written as its escape (``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def as_it_stands(text: str) -> Any:
    """Text for rich's consoles and tables, in which brackets and `:words:` are no markup."""
    from rich.text import Text  # slow to import: only where rich draws

    return Text(text)


def one_line(text: object, most: int = MOST) -> str:
    """A message as one printable line of at most `most` characters, cut in the middle.

    Its beginning says what is wrong and its end names the fix, so both stay. Spaces stay as they
    are: they may stand in a path of a command that is told. Sentences on lines of their own are
    joined by a space; a break within a name is escaped, as any other sign that is not printable.
    """
    whole = str(text)
    if len(whole) > 8 * most:
        whole = whole[: 4 * most] + whole[-4 * most :]
    return cut(printable(_BREAKS.sub(" ", whole).strip()), most)


def cut(text: str, most: int) -> str:
    """The text, its middle replaced by an ellipsis where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    head = 2 * (most - 3) // 3
    return f"{text[:head]} … {text[len(text) - (most - 3 - head) :]}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
