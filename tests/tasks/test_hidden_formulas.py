"""What models of tasks with a formula see: nothing that gives the answer away, and no sample of one part in another."""

import pytest
import torch
from torch_geometric.data import Batch, Data

from plstm_graph.datasets.circuits import gate_delays
from plstm_graph.datasets.workflows import plans as workflow_plans
from plstm_graph.datasets.workflows import workflows
from plstm_graph.nn import PLSTM
from plstm_graph.tasks.batches import attach_line_graph, call_model, model_arguments
from plstm_graph.tasks.registry import load_task
from tests.made_circuits import circuit_folder
from tests.made_workflows import ForksAndJoins

FAMILY = {"num_graphs": 4, "generations": 3, "size": 10}
FLOW = {"num_graphs": 3, "smallest": 5, "largest": 15}
PARTS = {"applications": ["bwa", "cycles"], "train": FLOW, "valid": [FLOW], "tests": {"same": FLOW}}
TASKS = {
    "timing": {"samples": 14, "nodes": 20},
    "timing_driven": {"samples": 14, "nodes": 20, "delays": "driven"},
    "pedigrees": {"train": FAMILY, "valid": FAMILY, "tests": {"same": FAMILY}},
    "makespan": PARTS,
    "critical_path": PARTS | {"target": "critical_path"},
}
NAMES = {"timing_driven": "timing", "makespan": "workflows", "critical_path": "workflows"}
#: What a model is called with; the rest of a graph is for the judges.
SEEN = ("x", "edge_index", "edge_attr")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a task, each time from the beginning."""
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    number = iter(range(100))

    def loaded(name, **more):
        source = tmp_path / "source"
        if name.startswith("timing") and not source.exists():
            circuit_folder(source, gates=40)
        root = tmp_path / f"root_{next(number)}"  # what is stored was made by the formula of before
        return load_task(NAMES.get(name, name), str(root), str(source), **TASKS[name] | more)

    return loaded


def graphs_of(task):
    return [(part, number, graph) for part, graphs in task.parts.items() for number, graph in enumerate(graphs)]


def same(one, other):
    """Whether two attributes are the same numbers, both None, or NaN in the same places."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())


@pytest.mark.parametrize(
    ("name", "module", "coefficient", "value"),
    [
        ("timing", gate_delays, "_INTRINSIC", torch.tensor([0.0, 2.0, 1.0, 1.5, 0.1], dtype=torch.double)),
        ("timing", gate_delays, "_RESISTANCE", 0.7),
        ("timing", gate_delays, "_INVERTED_DELAY", 0.9),
        ("timing_driven", gate_delays, "_CAPACITANCE", torch.tensor([0.0, 2.0, 1.0, 3.0, 0.1], dtype=torch.double)),
        ("timing_driven", gate_delays, "_INVERTED_LOAD", 0.9),
        ("makespan", workflow_plans, "_READING", 0.1),
        ("makespan", workflow_plans, "_WRITING", 0.9),
        ("critical_path", workflow_plans, "_READING", 0.1),
        ("critical_path", workflow_plans, "_WRITING", 0.9),
    ],
)
def test_coefficients_of_formulas_move_targets_and_nothing_that_is_seen(
    load, monkeypatch, name, module, coefficient, value
):
    before = load(name)
    monkeypatch.setattr(module, coefficient, value)
    after = load(name)
    moved = 0
    for (_, _, one), (_, _, other) in zip(graphs_of(before), graphs_of(after), strict=True):
        assert all(same(getattr(one, key), getattr(other, key)) for key in SEEN)
        moved += not same(one.y, other.y)
    assert moved >= len(graphs_of(before)) - 1


def test_what_a_runtime_is_off_by_is_told_by_nothing_but_its_category(load, monkeypatch):
    """The bias moves what is suggested, which is seen, and leaves what happens, which is not, as it was."""
    for target in ("makespan", "critical_path"):
        one, other = (load(target, bias=bias, noise=0.0).parts["train"] for bias in (0.0, 0.3))
        for before, after in zip(one, other, strict=True):
            assert same(before.x[:, 0], after.x[:, 0]) and not same(before.x[:, 1], after.x[:, 1])
        if target == "critical_path":
            for before, after in zip(one, other, strict=True):
                torch.testing.assert_close(before.y * before.unit, after.y * after.unit, rtol=1e-5, atol=0)


@pytest.mark.parametrize("heritability", [0.05, 0.3, 1.0])
def test_values_of_animals_reach_models_by_their_records_alone(load, heritability):
    one, other = load("pedigrees"), load("pedigrees", heritability=heritability)
    for (_, _, before), (_, _, after) in zip(graphs_of(one), graphs_of(other), strict=True):
        assert same(before.y, after.y) and same(before.edge_index, after.edge_index)
        assert same(before.x[:, 1], after.has_record.float())
        assert not after.x[~after.has_record].any()  # neither a record nor a mark of one
        assert not after.has_record[after.generation == after.generation.max()].any()
    noise = torch.cat([(graph.x[:, :1] - graph.y)[graph.has_record] for _, _, graph in graphs_of(other)])
    # Of a few hundred records: within a third of what the heritability says.
    assert float(noise.std()) == pytest.approx((1 / heritability - 1) ** 0.5, rel=0.33, abs=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_models_are_given_nothing_but_features_and_edges(load, name):
    task = load(name)
    model = PLSTM(
        task.in_channels, 8, 1, task.out_channels, task.edge_dim, heads=2, modes="PM", predict=task.target_level
    ).eval()

    arguments = model_arguments(model)
    for _, graphs in task.parts.items():
        whole = Batch.from_data_list(list(graphs[:3]))
        kept = [Data(**{key: graph[key] for key in SEEN if key in graph}) for graph in graphs[:3]]
        seen = Batch.from_data_list(kept)
        one, other = (call_model(model, attach_line_graph(batch, arguments), arguments) for batch in (whole, seen))
        assert torch.equal(one, other)  # the same call
        assert one.shape == whole.y.shape


@pytest.mark.parametrize("name", TASKS)
def test_no_sample_is_in_two_parts(load, name):
    found = {}
    for part, number, graph in graphs_of(load(name)):
        key = graph.x.numpy().tobytes(), graph.edge_index.numpy().tobytes(), graph.y.numpy().tobytes()
        first, earlier = found.setdefault(key, (part, number))
        assert first == part, f"graph {number} of {part} is graph {earlier} of {first}"


@pytest.mark.parametrize("name", ["timing", "timing_driven", "pedigrees"])
def test_a_sample_does_not_depend_on_how_many_there_are(load, name):
    more = {"samples": 5} if name != "pedigrees" else {"train": FAMILY | {"num_graphs": 2}}
    few, many = load(name, **more).parts["train"], load(name).parts["train"]
    assert len(few) < len(many)
    for one, other in zip(few, many, strict=False):
        assert all(same(getattr(one, key), getattr(other, key)) for key in (*SEEN, "y"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_the_same_each_time(load, name):
    torch.manual_seed(1)
    first = load(name)
    torch.manual_seed(2)
    for (_, _, one), (_, _, other) in zip(graphs_of(first), graphs_of(load(name)), strict=True):
        assert all(same(getattr(one, key), getattr(other, key)) for key in (*SEEN, "y"))
