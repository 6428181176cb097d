"""Tables that are whole at every width."""

import io
import re

import pytest
from rich.cells import cell_len

from plstm_graph.console import Console, print_table

_ROWS = {
    "short": [["a", "1"], ["b", "2"]],
    "long label": [["a_name_without_spaces_that_is_longer_than_most_terminals_" * 3, "12,345", "3"]],
    "huge counts": [["a", "1,234,567,890,123,456", "9" * 30, "-1.25e-300"]],
    "many columns": [[f"row {row}", *(f"{1000 * row + column:,}" for column in range(60))] for row in range(3)],
    "wide letters": [["汉字" * 30, "1,000"]],
    "marks": [["[bold]$x$\x1b[31m\nsecond line", ":smile:", "|"]],
}


def printed(rows, width, **lines):
    file = io.StringIO()
    print_table(Console(file=file, width=width), [f"c{n}" for n in range(len(rows[0]))], rows, **lines)
    return file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("kind", _ROWS)
def test_every_cell_is_whole(kind, width):
    rows = _ROWS[kind]
    text = printed(rows, width, title="a title", caption="a caption")
    assert "…" not in text and "\x1b" not in text
    for row in rows:
        for cell in row[1:]:
            assert re.search(rf"[│┃] *{re.escape(cell)} *[│┃]", text), cell
    labels = "".join(re.findall(r"^│ (.*?) *│", text, flags=re.M))
    for row in rows:
        assert re.sub(r"\s", "", row[0].replace("\x1b", r"\x1b")) in re.sub(r"\s", "", labels)
    if width >= 80 or (width == 40 and kind != "huge counts"):
        assert max(map(cell_len, text.split("\n"))) <= width
    assert "a caption" in text and "a title" in text


def test_a_table_with_room_is_one_table():
    assert printed(_ROWS["many columns"], 2000).count("row 1") == 1
    assert printed(_ROWS["many columns"], 80).count("row 1") > 1
