import pytest
import torch

from plstm_graph.datasets.circuits.aiger import AigerError, read_aiger, read_circuit
from plstm_graph.graph import longest_path_levels

# x = a AND b; y = NOT a AND NOT b; sum = NOT x AND NOT y: variables 1 to 5, literals twice that.
HALF_ADDER = b"aig 5 2 0 2 3\n10\n6\n" + bytes([2, 2, 3, 2, 2, 2]) + b"i0 a\ni1 b\nc\na comment\n"


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "circuit.aig"
        path.write_bytes(content)
        return path

    return write_file


def test_half_adder(write):
    edge_index, num_nodes = read_aiger(write(HALF_ADDER))
    assert num_nodes == 5
    assert edge_index.t().tolist() == [[1, 2], [0, 2], [1, 3], [0, 3], [3, 4], [2, 4]]


def test_latches_constants_and_long_numbers(write):
    # 100 inputs, 1 latch; the gate is variable 102 (literal 204): input 1 (literal 2, delta 202) and the constant 0.
    content = b"aig 102 100 1 0 1\n204\n" + bytes([128 | (202 & 127), 202 >> 7, 2])
    edge_index, num_nodes = read_aiger(write(content))
    assert num_nodes == 102
    assert edge_index.tolist() == [[0], [101]]


@pytest.mark.parametrize(
    ("lines", "endpoints"),
    [
        (b"10\n6\n", [3, 5]),
        (b"11\n10\n", [5]),  # one signal, twice
        (b"0\n1\n", []),  # constants
        (b"2\n7\n", [1, 3]),  # an input
    ],
)
def test_endpoints_are_what_outputs_read(write, lines, endpoints):
    circuit = read_circuit(write(HALF_ADDER.replace(b"10\n6\n", lines)))
    assert circuit.endpoints.tolist() == endpoints


def test_latches_read_endpoints_and_may_have_a_first_value(write):
    content = b"aig 3 1 1 1 1\n6 1\n2\n" + bytes([2, 2])
    assert read_circuit(write(content)).endpoints.tolist() == [1, 3]


def test_no_gates(write):
    edge_index, num_nodes = read_aiger(write(b"aig 2 2 0 1 0\n2\n"))
    assert (list(edge_index.shape), num_nodes) == ([2, 0], 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no binary AIGER file"),
        (b"\x89PNG\r\n\x1a\n", "no binary AIGER file"),
        (b"aag 1 1 0 0 0\n2\n", "ASCII"),
        (b"aig 9 2 0 2 3\n10\n6\n", "M = 9, but I . L . A = 5"),
        (b"aig 5 2 0 2 3\n10\n", "ends in line 3"),
        (b"aig 5 2 0 2 3\nten\n6\n", "line 2 must be a literal, got b'ten'"),
        (b"aig 5 2 0 2 3\n10\n-6\n", "line 3 must be a literal"),
        (b"aig 5 2 0 2 3\n10\n\n", "line 3 must be a literal"),
        (b"aig 5 2 0 2 3\n10 1\n6\n", "line 2 must be a literal"),
        (b"aig 5 2 0 2 3\n10\n12\n", "line 3 reads literal 12, but the highest is 11"),
        (HALF_ADDER[:22], "ends after 1 of 3"),
        (b"aig 5 2 0 2 3 1\n", "bad-state"),
        (b"aig 3 2 0 0 1\n" + bytes([0, 2]), "AND gate 0"),
        (b"aig 3 2 0 0 1\n" + bytes([5, 2]), "AND gate 0"),
        (b"aig 3 2 0 0 1\n" + bytes([255] * 9 + [1, 2]), "32 bits"),
    ],
)
def test_damaged_files(write, content, message):
    path = write(content)
    with pytest.raises(AigerError, match=message) as error:
        read_aiger(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("name", "gates", "inputs", "depth"), [("ctrl", 174, 7, 10), ("adder", 1020, 256, 255)])
def test_real_circuits(real_data, name, gates, inputs, depth):
    edge_index, num_nodes = read_aiger(real_data / "dag" / "epfl_aig" / f"{name}.aig")
    assert num_nodes == gates + inputs
    in_degree = torch.bincount(edge_index[1], minlength=num_nodes)
    assert in_degree[:inputs].eq(0).all()
    assert in_degree[inputs:].eq(2).all()
    assert int(longest_path_levels(edge_index, num_nodes).max()) == depth
