"""Words of files and users are shown as they are: on the terminal, in pictures, in Markdown."""

import io

import pytest
from matplotlib import cbook
from matplotlib.figure import Figure
from rich.progress import Progress
from rich.table import Table

from plstm_graph.console import Console, FieldColumn, write_data
from plstm_graph.text import markdown_code, markdown_row, markdown_text, meant, plot_label, visible

_MARKUP = ["[nH]", "[mol/L]", "[/b]", "[red]x[/red]", "[link=a]b", ":smile:", "C[C@H](N)[nH]", "\\[x]", "a\\[b"]
_STEERING = {
    "\x1b[31mred": r"\x1b[31mred",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "a\rb": r"a\rb",
    "\x9b31m": r"\x9b31m",
    "\x00": r"\x00",
    "user\u202egnp.exe": r"user\u202egnp.exe",
    "line\u2028line": r"line\u2028line",
    "\udcff": r"\udcff",
    "\x08\x7f": r"\x08\x7f",
}


def _printed(*texts, **options):
    file = io.StringIO()
    console = Console(file=file, width=200)
    for text in texts:
        console.say(text, **options)
    table = Table(*texts, title="\n".join(texts), caption=texts[0])
    table.add_row(*texts)
    console.print(table)
    return file.getvalue()


@pytest.mark.parametrize("text", _MARKUP)
def test_markup_is_text(text):
    shown = _printed(text)
    assert shown.count(text) == 5  # line, title, header, cell, caption
    assert "\x1b" not in shown


@pytest.mark.parametrize(("text", "expected"), _STEERING.items())
def test_nothing_steers_the_terminal(text, expected):
    assert visible(text) == expected
    shown = _printed(text)
    assert shown.count(expected) == 5
    assert all(character.isprintable() or character == "\n" for character in shown)
    shown.encode("utf-8")


@pytest.mark.parametrize("text", ["Ångström", "水 → H₂O", "a\tb\nc", "", "1.5e-3", "e\u0301", "\N{FAMILY}"])
def test_ordinary_texts_stay(text):
    assert visible(text) == text


def test_a_progress_bar_shows_names_as_they_are():
    file = io.StringIO()
    bars = Progress(FieldColumn("name", "fold "), FieldColumn(), console=Console(file=file, width=80), disable=False)
    with bars:
        bars.add_task("loss [/b] \x1b[2J", total=1, name="[x]")
    assert r"fold [x] loss [/b] \x1b[2J" in file.getvalue()


@pytest.mark.parametrize("text", ["$\\frac$", "$x$", "a$b", "\\$5 and $6", "$$", "_hidden", "__", "\x1b[0m", "a\\b"])
def test_labels_of_plots_are_no_formulas_and_stay_in_the_legend(text):
    assert not cbook.is_math_text(plot_label(text))
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], label=plot_label(text))
    axes.set_title(plot_label(text))
    (found,) = axes.legend().get_texts()
    figure.savefig(io.BytesIO(), format="svg")
    assert found.get_text().replace("\\$", "$").strip() == visible(text)


@pytest.mark.parametrize(
    "text", ["a|b", "line\nline", "<script>", "*x*", "_x_", "`rm`", "[x](http://y)", "a\\|b", "![i]"]
)
def test_a_cell_of_markdown_is_one_cell_without_markup(text):
    row = markdown_row([text, "1"])
    assert "\n" not in row
    assert len([bar for number, bar in enumerate(row) if bar == "|" and row[number - 1] != "\\"]) == 3
    plain = row.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    assert plain == f"| {' '.join(text.split())} | 1 |"
    for mark in "*`[<":
        assert markdown_text(text).count(mark) == markdown_text(text).count(f"\\{mark}")


@pytest.mark.parametrize("text", ["plstm-graph fit", "a`b", "``", "a\n`b`` c"])
def test_code_in_markdown_ends_where_the_text_ends(text):
    code = markdown_code(text)
    fence = code[: len(code) - len(code.lstrip("`"))]
    assert code.endswith(fence)
    inner = code[len(fence) : -len(fence)]
    assert fence not in inner
    assert inner.strip() == " ".join(text.split())


def test_data_goes_to_stdout_byte_for_byte(capfdbinary):
    write_data("é,\x1b[31m,\udcff\n")
    assert capfdbinary.readouterr().out == "é,\x1b[31m,".encode() + b"\xff\n"


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("learning_rate", ["lr", "average"], "lr"),
        ("training.learning_rate", ["training.average", "training.lr"], "training.lr"),
        ("Weight_Decay", ["weight_decay", "wd"], "weight_decay"),
        ("epoch", ["epochs", "e"], "epochs"),
        ("a_", ["a"], "a"),
        ("_", ["x"], ""),
        (3, ["30"], "30"),
    ],
)
def test_a_slip_may_mean_a_name_near_it_or_one_of_its_initials(word, known, found):
    assert meant(word, known) == (f" (did you mean {found}?)" if found else "")


def test_bars_do_not_move_where_only_colours_are_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console(file=io.StringIO())
    assert console.is_terminal
    assert not console.is_watched
