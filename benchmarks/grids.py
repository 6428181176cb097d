"""Chains and grids beside softmax attention on as many tokens. Writes results/grids/speed.json and docs/grids/speed.md.

    python -m benchmarks.grids --threads 2

Forward and backward, float32, gates given, four orientations on grids. Cases of a row are timed in turns, one
repetition of each after the other; a ratio is the median over the ratios of such pairs, so that a busy moment of the
machine meets both.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.pages import add_options, publish
from benchmarks.timing import Timer, time_in_turns
from plstm_graph.machine import describe_machine
from plstm_graph.ops import plstm_chain, plstm_grid2d_oriented
from plstm_graph.testing import assert_close

HEADS, WIDTH, ORIENTATIONS = 4, 16, 4
PRECISE = 1e-10
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


def grid_operands(batch: int, side: int) -> list[Tensor]:
    """Of four orientations of a square grid, with gates that keep states bounded."""
    features = [torch.randn(batch, side, side, HEADS, WIDTH) for _ in range(3)]
    ends = [torch.rand(batch, side, side, ORIENTATIONS, HEADS) for _ in range(4)]
    share, decay = (torch.rand(batch, side, side, ORIENTATIONS, HEADS) for _ in range(2))
    straight, turned = 0.9 * decay * share, 0.9 * decay * (1 - share)
    gates = (*ends[:2], straight, turned.clone(), turned, straight.clone(), *ends[2:])
    return [*features, *gates, torch.rand(batch, side, side, HEADS)]


def chain_operands(batch: int, length: int) -> list[Tensor]:
    """Of a chain."""
    features = [torch.randn(batch, length, HEADS, WIDTH) for _ in range(3)]
    return [*features, *(torch.rand(batch, length, HEADS) for _ in range(4))]


def grid(batch: int, side: int, form: str) -> Callable[[], object]:
    """Four orientations of a square grid."""
    return both_passes(partial(plstm_grid2d_oriented, form=form), *grid_operands(batch, side))


def chain(batch: int, length: int) -> Callable[[], object]:
    """A chain."""
    return both_passes(plstm_chain, *chain_operands(batch, length))


def verify() -> None:
    """Hold every form that is timed against the naive one in float64, values and gradients.

    Raises:
        AssertionError: If one is off.
    """
    torch.manual_seed(0)
    operands = [*(("grid", plstm_grid2d_oriented, grid_operands(1, side), FORMS) for side in (1, 5, 12))]
    operands += [("chain", plstm_chain, chain_operands(1, length), ("auto",)) for length in (1, 100)]
    for what, function, drawn, forms in operands:
        leaves = [tensor.double().requires_grad_() for tensor in drawn]
        expected = _values_and_gradients(function, leaves, "naive")
        for form in forms:
            for number, found in enumerate(_values_and_gradients(function, leaves, form)):
                name = "output" if number == 0 else f"gradient of operand {number}"
                assert_close(found, expected[number], PRECISE, f"{form} form, {what} {list(expected[0].shape)}: {name}")


def _values_and_gradients(function: Callable[..., Tensor], leaves: list[Tensor], form: str) -> list[Tensor]:
    out = function(*leaves, form=form)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out, *torch.autograd.grad(out, leaves, weight, materialize_grads=True)]


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
    add_options(parser)
    options = parser.parse_args()
    publish("grids/speed", options, lambda: measure_all(options), to_markdown)


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """All rows, after a check that what is timed is right."""
    torch.set_num_threads(options.threads)
    verify()
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

    return {
        "rows": rows,
        "per_pixel": pixels["96x96, batch 1"]["ratio"],
        "wanted": WANTED,
        "threads": options.threads,
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    main()
