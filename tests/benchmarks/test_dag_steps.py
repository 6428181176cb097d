"""Steps of all models of a configuration are timed."""

import yaml

from benchmarks.dag_steps import measure


def test_steps_of_a_small_task(tmp_path):
    sizes = {"num_graphs": 4, "size": 8}
    kinds = {"bag": "BagOfNodes", "gin": "DirectedGIN"}
    arguments = {"hidden_channels": 8, "num_layers": 1}
    models = {
        name: {"class_path": f"plstm_graph.nn.baselines.{kind}", "init_args": arguments} for name, kind in kinds.items()
    }
    config = {
        "task": {"name": "copy", "train": sizes, "valid": sizes, "tests": {}},
        "models": models,
        "training": {"batch_size": 3},
    }
    path = tmp_path / "copy.yaml"
    path.write_text(yaml.safe_dump(config))
    found = measure(path, repeat=1)
    assert found["nodes"] > 3 and found["levels"] > 1
    assert set(found["milliseconds"]) == set(found["parameters"]) == set(kinds)
    assert all(count > 0 for count in found["parameters"].values())
