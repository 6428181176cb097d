"""What is measured together. Plain names, so that ``--help`` need not import torch."""

from dataclasses import dataclass

FORMS = ("plstm auto", "plstm recurrent", "plstm parallel", "plstm chunkwise", "plstm naive")
FROM_EDGES = "plstm auto, from edges"
LAYERS = (
    *("PLSTMConv P", "PLSTMConv D", "GCNConv", "GINEConv", "GATv2Conv", "GATv2Conv, both directions"),
    *("TransformerConv", "GatedCell, sum", "GatedCell, attention"),
)
LIMITED = ("plstm auto, 1 thread", "plstm auto, 2 threads")
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
_BESIDE = ("plstm auto", "GATv2Conv", "GATv2Conv, both directions", "GINEConv", "PLSTMConv P", "PLSTMConv D")
_FIGURES = (
    *(Group((name,), _BESIDE, passes=(BOTH,), reference="GATv2Conv") for name in ("nci-128", "peptides-128")),
    *(Group((name,), ("PLSTM model", "GATv2 model", "structure")) for name in ("nci-128", "peptides-128")),
    Group(("chain-10000", "chain-100000"), ("plstm auto",), (4, 16, 16), (BOTH,)),
    Group(("random-100000", "random-1000000"), ("plstm auto",), (4, 16, 16), (BOTH,), memory=True),
)
# Sizes at which one form gives way to another, none of which takes longer than a second or two.
_SWEPT = ("nci-128", "nci-512", "molhiv-128", "peptides-128")
_SWEPT_DAGS = (
    *(f"random-{size}" for size in (10, 100, 1000, 10_000, 100_000)),
    *(f"chain-{size}" for size in (100, 1000, 10_000)),
    *(f"grid-{side}" for side in (4, 10, 32, 100)),
    *(f"layered-{depth}" for depth in (2, 10, 30, 100, 300, 1000)),
    *("instar-10000", "outstar-10000", "hub-300", "circuit-ctrl", "circuit-i2c", "circuit-adder", "circuit-sin"),
)
_SWEEP = (
    *(Group((name,), FORMS[:-1], passes=(BOTH,)) for name in _SWEPT),
    *(Group((name,), FORMS[:-1], (4, 16, 16), (BOTH,)) for name in _SWEPT_DAGS),
)
_THREADS = (
    *(Group((name,), LIMITED, passes=(BOTH,), reference=LIMITED[0]) for name in ("nci-128", "nci-512", "peptides-128")),
    Group(("random-100000",), LIMITED, (4, 16, 16), (BOTH,), reference=LIMITED[0]),
)
_CIRCUIT_GROUPS = (
    *_each("circuit", _CIRCUITS),
    Group((f"circuit-{DEEPEST_CIRCUIT}",), (*FORMS, FROM_EDGES), (4, 16, 16), memory=True),
)

SUITES: dict[str, tuple[Group, ...]] = {
    "smoke": (Group(("nci-2", "random-60"), (*FORMS, "GATv2Conv", "structure"), (2, 4, 4), reference="GATv2Conv"),),
    "figures": _FIGURES,
    "threads": _THREADS,
    "sweep": _SWEEP,
    "molecules": tuple(_molecules(name) for name in ("nci-128", "nci-512", "molhiv-128", "peptides-128")),
    "forms": _FORMS,
    "depth": _each("layered", (2, 10, 30, 100, 300, 1000, 3000, 10_000)),
    "circuits": _CIRCUIT_GROUPS,
}
#: What is measured of every machine, in minutes, and what takes an hour more.
QUICK, LONG = ("figures", "threads", "sweep"), ("molecules", "forms", "depth", "circuits")
SUITES["all"] = tuple(group for name in (*QUICK, *LONG) for group in SUITES[name])
