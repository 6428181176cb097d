"""Chains and grids beside softmax attention on as many tokens. Writes JSON and Markdown.

    python benchmarks/grids.py --threads 2 --output docs/grids_speed

Forward and backward, float32, gates given, four orientations on grids. Cases of a row are timed in turns, one
repetition of each after the other; a ratio is the median over the ratios of such pairs, so that a busy moment of the
machine meets both.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.bench.machine import describe_machine
from plstm_graph.bench.timing import Timer, time_in_turns
from plstm_graph.ops import plstm_chain, plstm_grid2d_oriented

HEADS, WIDTH, ORIENTATIONS = 4, 16, 4
FORMS = ("auto", "parallel", "chunkwise")

# What is asked of each row: at most, and the aim; None where nothing is.
WANTED = {
    "grid 24x24, batch 8": (3.0, 1.0),
    "grid 96x96, batch 1": (0.3, 0.1),
    "chain 16384, batch 1": (0.1, 0.03),
    "per pixel, 96x96 to 24x24": (1.5, 1.1),
}


def both_passes(function: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], object]:
    """Forward and backward of a function."""
    leaves = [tensor.requires_grad_() for tensor in inputs]
    weight = torch.randn_like(function(*leaves))
    return lambda: torch.autograd.grad(function(*leaves), leaves, weight)


def attention(batch: int, tokens: int) -> Callable[[], object]:
    """Softmax attention."""
    return both_passes(F.scaled_dot_product_attention, *(torch.randn(batch, HEADS, tokens, WIDTH) for _ in range(3)))


def grid(batch: int, side: int, form: str) -> Callable[[], object]:
    """Four orientations of a square grid, with gates that keep states bounded."""
    features = (torch.randn(batch, side, side, HEADS, WIDTH) for _ in range(3))
    ends = [torch.rand(batch, side, side, ORIENTATIONS, HEADS) for _ in range(4)]
    share, decay = (torch.rand(batch, side, side, ORIENTATIONS, HEADS) for _ in range(2))
    straight, turned = 0.9 * decay * share, 0.9 * decay * (1 - share)
    gates = (*ends[:2], straight, turned.clone(), turned, straight.clone(), *ends[2:])
    direct = torch.rand(batch, side, side, HEADS)
    return both_passes(lambda *x: plstm_grid2d_oriented(*x, form=form), *features, *gates, direct)


def chain(batch: int, length: int) -> Callable[[], object]:
    """A chain."""
    features = (torch.randn(batch, length, HEADS, WIDTH) for _ in range(3))
    gates = (torch.rand(batch, length, HEADS) for _ in range(4))
    return both_passes(plstm_chain, *features, *gates)


def measure(name: str, cases: dict[str, Callable[[], object]], repeat: int, budget: float) -> dict[str, Any]:
    """Seconds of each case, and the ratio of each to the last one."""
    timers = {label: Timer(run, repeat, budget) for label, run in cases.items()}
    fewest = min(timer.wanted for timer in timers.values())
    for timer in timers.values():
        timer.wanted = fewest
    time_in_turns(list(timers.values()))
    reference = list(timers.values())[-1].seconds
    rows = {}
    for label, timer in timers.items():
        ratios = [own / other for own, other in zip(timer.seconds, reference, strict=True)]
        rows[label] = timer.summary() | {"ratio": statistics.median(ratios)}
    print(name, {label: round(row["ratio"], 3) for label, row in rows.items()}, flush=True)
    return rows


def to_markdown(results: dict[str, Any]) -> str:
    """One table."""
    machine, wanted = results["machine"], results["wanted"]
    lines = [
        "# Chains and grids beside softmax attention",
        "",
        f"Forward and backward, {HEADS} heads of width {WIDTH}, {ORIENTATIONS} orientations on grids, float32, "
        f"threads: {results['threads']}, {machine['processor']}, torch {machine['packages']['torch']}, revision "
        f"{machine['revision']}. Medians in milliseconds; ratios are medians over repetitions timed in turns.",
        "",
        "| row | case | median ms | minimum ms | ratio | at most | aim |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row, cases in results["rows"].items():
        for label, case in cases.items():
            most, aim = wanted.get(row, ("", "")) if label == "plstm auto" else ("", "")
            times = f"{1e3 * case['median']:,.1f} | {1e3 * case['min']:,.1f}"
            lines.append(f"| {row} | {label} | {times} | {case['ratio']:.3f} | {most} | {aim} |")
    most, aim = wanted["per pixel, 96x96 to 24x24"]
    lines.append(f"| per pixel, 96x96 to 24x24 | plstm auto | | | {results['per_pixel']:.3f} | {most} | {aim} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each case")
    parser.add_argument("--output", default="docs/grids_speed", help="without suffix")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    rows = {}
    for side in (8, 12, 16, 24):
        name = f"grid {side}x{side}, batch 8"
        cases = {f"plstm {form}": grid(8, side, form) for form in FORMS}
        rows[name] = measure(name, cases | {"attention": attention(8, side**2)}, options.repeat, options.budget)
    name = "grid 96x96, batch 1"
    cases = {f"plstm {form}": grid(1, 96, form) for form in ("auto", "chunkwise")}
    cases["attention"] = attention(1, 96**2)
    rows[name] = measure(name, cases, options.repeat, options.budget)
    name = "chain 16384, batch 1"
    cases = {"plstm auto": chain(1, 16384), "attention": attention(1, 16384)}
    rows[name] = measure(name, cases, options.repeat, options.budget)
    pixels = measure(
        "per pixel",
        {"96x96, batch 1": grid(1, 96, "auto"), "24x24, batch 16": grid(16, 24, "auto")},
        options.repeat,
        options.budget,
    )

    results = {
        "rows": rows,
        "per_pixel": pixels["96x96, batch 1"]["ratio"],
        "wanted": WANTED,
        "threads": options.threads,
        "machine": describe_machine(),
    }
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(results, indent=1) + "\n"), (".md", to_markdown(results))):
        temporary = output.with_suffix(suffix + ".part")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, output.with_suffix(suffix))


if __name__ == "__main__":
    main()
