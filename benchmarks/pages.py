"""Numbers of a measurement, and the page that shows them: results/NAME.json and docs/NAME.md."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.files import replace_text

ROOT = Path(__file__).parents[1]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where numbers and page belong, and whether only the page is wanted."""
    parser.add_argument(
        "--output", type=Path, default=ROOT, help="folder that has results/ and docs/ (default: this one)"
    )
    parser.add_argument(
        "--page", action="store_true", help="measure nothing, make the page of the numbers that are there"
    )


def publish(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[], Mapping[str, Any]],
    to_markdown: Callable[[Mapping[str, Any]], str],
) -> None:
    """Measure, unless only the page is wanted; write and print the page.

    Args:
        name: Of both files, with a folder or without.
        options: Of :func:`add_options`.
        measure: Makes plain values.
        to_markdown: Makes the page of these.
    """
    numbers = options.output / "results" / f"{name}.json"
    if not options.page:
        replace_text(numbers, json.dumps(measure(), indent=1) + "\n")
    page = to_markdown(json.loads(numbers.read_text(encoding="utf-8")))
    replace_text(options.output / "docs" / f"{name}.md", page)
    print(page)
