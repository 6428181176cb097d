"""What a report says of how sure the predictions of its models are."""

from collections.abc import Callable, Mapping
from typing import Any

from plstm_graph.text import markdown_row, markdown_text

#: Metrics with and without a temperature, which have a table of their own.
APART = ("_calibrated", "_uncalibrated")
_SHOWN = 8  # notes


def sureness_lines(report: Mapping[str, Any], text: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """Lines of Markdown on calibration; none where models say nothing of it.

    They are a table of how well probabilities fit with and without a temperature, and what the first training of each
    model says of its intervals, temperatures and training molecules.

    Args:
        report: By :func:`~plstm_graph.report.study.summarise`.
        text: Of a mean and its standard deviation, :func:`~plstm_graph.report.study.with_std`.
    """
    models = report["models"]
    names = list(dict.fromkeys(name for model in models.values() for name in model["tests"] if name.endswith(APART)))
    lines = []
    if names:
        rows = [["model", *names], ["---", *["---:"] * len(names)]]
        for model, of in models.items():
            found = [of["tests"].get(name) for name in names]
            rows.append([model, *("" if summary is None else text(summary) for summary in found)])
        lines += [*map(markdown_row, rows), ""]
    for model, of in models.items():
        notes = of["seeds"][0].get("sureness") or []
        if notes:
            more = [f"and {len(notes) - _SHOWN:,} more"] if len(notes) > _SHOWN else []
            said = [f"- {markdown_text(note)}" for note in [*notes[:_SHOWN], *more]]
            lines += [f"How sure predictions of {markdown_text(model)} are:", *said, ""]
    return lines
