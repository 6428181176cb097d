"""The table of predictions for molecules."""

from plstm_graph.predict.molecules import MoleculeRow, row_cells


def test_columns_of_the_input_with_names_of_the_output_get_names_of_their_own():
    names = ["input_error", "error", "lower_y", "input_lower_y", "input_input_lower_y", "plain"]
    row = MoleculeRow("argument 1", "C", dict(zip(names, "abcdef", strict=True)), predicted=["1", "2"])
    header, (cells,) = row_cells([row], ["predicted_y", "lower_y"])
    assert len(set(header)) == len(header) == len(cells)
    found = dict(zip(header, cells, strict=True))
    assert found["input_error"] == "a" and found["input_lower_y"] == "d" and found["plain"] == "f"
    assert (found["predicted_y"], found["lower_y"], found["error"]) == ("1", "2", "")
    assert found["input_input_error"] == "b" and found["input_input_input_lower_y"] == "c"
