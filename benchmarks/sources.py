"""One digest of the code whose speed the pages show, so that a page can tell whether it is about today's code.

Only what can change a time counts: comments, docstrings and layout of the sources do not, nor does the version of
Python that reads them. No history is needed, so it works in a shallow clone and in an unpacked archive as well.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Folders of the operator and of its native code.
PLACES = ("plstm_graph/ops", "plstm_graph/native")

_DIGITS = 16
_LEFT_OUT = ("ctx", "kind", "type_comment", "type_ignores")  # what follows from the rest, or says nothing
# Strings come before comments, so that neither is sought inside the other.
_C_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<end>\n)
    |(?P<space>[^\S\n]+)
    |(?P<other>[\w.]+|<<=|>>=|\.\.\.|->|\+\+|--|<<|>>|[<>=!+\-*/%&|^]=|&&|\|\||\#\#|.)""",
    re.VERBOSE | re.DOTALL,
)


def digest_sources(root: Path = ROOT) -> str:
    """Digest of all Python and C sources in :data:`PLACES`.

    Args:
        root: Of the repository.

    Raises:
        SyntaxError: If a Python file cannot be parsed.
    """
    found = hashlib.sha256()
    for path in sorted(path for place in PLACES for path in (root / place).rglob("*.*")):
        words = _READ.get(path.suffix)
        if words is not None:
            content = "\0".join(words(path.read_text(encoding="utf-8")))
            found.update(f"{path.relative_to(root).as_posix()}\0\0{content}\0\0".encode())
    return found.hexdigest()[:_DIGITS]


def python_words(text: str) -> Iterator[str]:
    """What a Python source says, without comments, docstrings and layout."""
    yield from _words_of(ast.parse(text))


def _words_of(value: object) -> Iterator[str]:
    if isinstance(value, ast.AST):
        yield type(value).__name__
        for name, part in ast.iter_fields(value):
            if name == "body" and isinstance(value, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                part = part[ast.get_docstring(value, clean=False) is not None :]
            # Fields that are empty differ between versions of Python.
            if name not in _LEFT_OUT and part is not None and part != []:
                yield name
                yield from _words_of(part)
        yield ")"
    elif isinstance(value, list):
        for part in value:
            yield from _words_of(part)
    else:
        yield repr(value)


def c_words(text: str) -> Iterator[str]:
    """Tokens of a C source without comments; ends of lines where the preprocessor needs them."""
    directive, fresh = False, True
    for token in _C_TOKEN.finditer(text.replace("\\\n", " ")):
        kind, word = token.lastgroup, token.group()
        if kind == "end":
            if directive:
                yield "\n"
            directive, fresh = False, True
        elif kind in ("text", "other"):
            directive |= fresh and word == "#"
            fresh = False
            yield word


_READ = {".py": python_words, ".c": c_words, ".h": c_words}
