"""What is measured together. Plain names, so that ``--help`` need not import torch."""

from dataclasses import dataclass

FORMS = ("plstm auto", "plstm recurrent", "plstm parallel", "plstm chunkwise", "plstm naive")
FROM_EDGES = "plstm auto, from edges"
LAYERS = (
    *("PLSTMConv P", "PLSTMConv D", "GCNConv", "GINEConv", "GATv2Conv", "GATv2Conv, both directions"),
    *("TransformerConv", "GatedCell, sum", "GatedCell, attention"),
)
MODELS = ("PLSTM model", "GATv2 model", "structure", "structure from edges")
BOTH = "forward+backward"

# From the smallest to the largest; those left out lie between others in size and depth.
_CIRCUITS = ("ctrl", "int2float", "i2c", "adder", "max", "sin", "square", "arbiter", "mem_ctrl", "log2", "sqrt", "div")
DEEPEST_CIRCUIT = "hyp"


@dataclass(frozen=True)
class Group:
    """Cases that are timed in turns, so that a busy moment of the machine meets all of them alike.

    Attributes:
        workloads: What to run on.
        operators: What to run on each of them.
        width: Heads, key width and value width.
        passes: Which passes to time. (default: all)
        memory: Whether to measure peak memory of passes with a backward as well, each in a process of its own.
        reference: The operator whose time is the unit of the report's ratios.
    """

    workloads: tuple[str, ...]
    operators: tuple[str, ...]
    width: tuple[int, int, int] = (4, 24, 24)
    passes: tuple[str, ...] = ()
    memory: bool = False
    reference: str = "plstm auto"


def _each(family: str, arguments: tuple[object, ...], memory: bool = False) -> tuple[Group, ...]:
    return tuple(Group((f"{family}-{argument}",), FORMS, (4, 16, 16), memory=memory) for argument in arguments)


def _molecules(workload: str) -> Group:
    return Group((workload,), (*FORMS, *LAYERS, *MODELS), reference="GATv2Conv")


_DECADES = tuple(10**power for power in range(1, 7))
_FORMS = (
    *_each("random", _DECADES[:-1], memory=True),
    *_each("chain", _DECADES[1:5]),
    *_each("grid", (4, 10, 32, 100, 250)),
    *(Group((name,), FORMS, (4, 16, 16)) for name in ("instar-10000", "outstar-10000", "hub-300")),
    # Last, because it takes as long as all others.
    *_each("random", _DECADES[-1:], memory=True),
)
_FIGURES = (
    Group(("nci-128",), ("plstm auto", "GATv2Conv", "GINEConv", "PLSTMConv P", "PLSTMConv D"), passes=(BOTH,)),
    Group(("nci-128",), ("PLSTM model", "GATv2 model", "structure")),
    Group(("chain-10000", "chain-100000"), ("plstm auto",), (4, 16, 16), (BOTH,)),
    Group(("random-100000", "random-1000000"), ("plstm auto",), (4, 16, 16), (BOTH,)),
    Group(("random-1000000",), ("plstm recurrent", "plstm chunkwise"), (4, 16, 16), (BOTH,), memory=True),
    Group((f"circuit-{DEEPEST_CIRCUIT}",), ("plstm auto", FROM_EDGES), (4, 16, 16), (BOTH,), memory=True),
)

SUITES: dict[str, tuple[Group, ...]] = {
    "smoke": (Group(("nci-2", "random-60"), (*FORMS, "GATv2Conv", "structure"), (2, 4, 4), reference="GATv2Conv"),),
    "figures": _FIGURES,
    "molecules": tuple(_molecules(name) for name in ("nci-128", "nci-512", "molhiv-128", "peptides-128")),
    "forms": _FORMS,
    "depth": _each("layered", (2, 10, 30, 100, 300, 1000, 3000, 10_000)),
    "circuits": _each("circuit", (*_CIRCUITS, DEEPEST_CIRCUIT)),
}
SUITES["all"] = tuple(
    group for name in ("figures", "molecules", "forms", "depth", "circuits") for group in SUITES[name]
)
