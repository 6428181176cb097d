import pytest

from benchmarks.sources import PLACES, c_words, digest_sources, python_words

PYTHON = """
def twice(number: int) -> str:
    \"\"\"Doubled.\"\"\"
    return f"{2 * number:>8}"  # as text


class Empty:
    \"\"\"Nothing.\"\"\"
"""
C = r"""
/* What it
   does. */
#define LINE(x) \
    (x)
static const char *text = "// no comment /* none */";
int f(int a) { return a << 2 /* four */ ; } // done
"""


def test_comments_docstrings_and_layout_of_python_do_not_count():
    other = """
# Doubles.
def twice(
    number: int,
) -> str:
    return f'{2 * number:>8}'
class Empty:
    "Still nothing."
"""
    assert list(python_words(PYTHON)) == list(python_words(other))


@pytest.mark.parametrize(
    ("old", "new"), [("2 *", "3 *"), ("number: int", "number: float"), (">8", ">9"), ("Empty", "E")]
)
def test_code_of_python_counts(old, new):
    assert list(python_words(PYTHON)) != list(python_words(PYTHON.replace(old, new)))


def test_comments_and_layout_of_c_do_not_count():
    other = """#define LINE(x) (x)
static const char
*text = "// no comment /* none */"; int f(int a)
{
    return a<<2;
}"""
    assert list(c_words(C)) == list(c_words(other))


@pytest.mark.parametrize(
    ("old", "new"), [("a << 2", "a < 2"), ("none */", "any */"), ("(x)\n", "(x) + 1\n"), ("int f", "long f")]
)
def test_code_of_c_counts(old, new):
    assert C.replace(old, new) != C
    assert list(c_words(C)) != list(c_words(C.replace(old, new)))


def test_the_end_of_a_directive_counts():
    assert list(c_words("#define A\nB")) != list(c_words("#define A B"))


def test_every_source_of_the_folders_counts(tmp_path):
    digests = set()
    for place in PLACES:
        (tmp_path / place).mkdir(parents=True)
        for name in ("a.py", "a.c", "a.h"):
            for text in ("x = 1;", "x = 2;"):
                (tmp_path / place / name).write_text(text)
                digests.add(digest_sources(tmp_path))
        (tmp_path / place / "notes.md").write_text("no source")
    assert len(digests) == 12 and digest_sources(tmp_path) in digests
