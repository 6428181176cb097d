"""Words of files and users in places that give some characters a meaning of their own: shown as they are.

A name may hold ``[b]``, ``$x$``, ``a|b`` or the escape sequences of a terminal. What prints, draws or writes tables
passes such words through one of these functions.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

# Marks that turn the direction of writing, by which a text can be made to read as another one.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: object) -> str:
    r"""A text as a terminal can show it: what would steer the terminal becomes ``\x1b`` and the like.

    Line feeds and tabs stay. Characters that cannot be encoded, as in names of files that are no UTF-8, and marks that
    turn the direction of writing, are written as escapes too.

    Args:
        text: Anything.
    """
    text = str(text)
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def meant(word: object, known: Iterable[str], shown_as: Mapping[str, str] | None = None) -> str:
    """What a misspelt word may have meant, for the end of a message: `` (did you mean epochs?)``, or nothing.

    Args:
        word: The word.
        known: Words that there are.
        shown_as: What to show for some of them.
    """
    folded = {str(each).casefold(): each for each in known}  # for capitals are easily mistaken, too
    text = str(word).casefold()
    before, dot, last = text.rpartition(".")
    initials = before + dot + "".join(part[:1] for part in last.split("_"))  # lr of learning_rate
    nearly = difflib.get_close_matches(text, folded, 1, cutoff=0.85)
    short = [initials] if "_" in last and initials in folded else []
    near = nearly or short or difflib.get_close_matches(text, folded, 1)
    found = folded[near[0]] if near else ""
    return f" (did you mean {(shown_as or {}).get(found, found)}?)" if near else ""


def shortened(text: str, most: int = 200) -> str:
    """A text that is not longer than can be read at a glance: its begin, where it is longer.

    Args:
        text: The text.
        most: Characters.
    """
    return text if len(text) <= most else f"{text[:most]} ..."


def plot_label(text: object) -> str:
    r"""A text for matplotlib, which takes ``$...$`` for a formula and leaves names with a leading ``_`` out of legends.

    Args:
        text: Anything.
    """
    text = visible(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def markdown_text(text: object) -> str:
    """A text in a line or a table of Markdown: on one line, and nothing in it is markup.

    Args:
        text: Anything.
    """
    text = " ".join(visible(text).split())
    return re.sub(r"([\\`*\[\]<|])|(?<!\w)_|_(?!\w)", lambda found: f"\\{found[0]}", text)


def markdown_row(cells: Iterable[object]) -> str:
    """A line of a Markdown table.

    Args:
        cells: Texts, each as :func:`markdown_text` gives it.
    """
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def markdown_code(text: object) -> str:
    """A text as code in a line of Markdown, fenced by more backticks than follow each other in it.

    Args:
        text: Anything.
    """
    text = " ".join(visible(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def _visible(character: str) -> str:
    if character in "\n\t":
        return character
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNS:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
