"""Matrix-valued transitions: against scalar gates and plain loops, their bounds, and the groups that they track."""

import itertools

import pytest
import torch

from plstm_graph.ops import (
    bounded_matrix,
    householder_product,
    orthogonal_exponential,
    plstm_chain,
    plstm_chain_matrix,
    plstm_grid2d,
    plstm_grid2d_matrix,
)
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close
from tests.ops.chain import test_plstm_chain as test_chain
from tests.ops.chain.test_plstm_chain import assert_same, results
from tests.ops.grid2d import test_plstm_grid2d as test_grid2d


def chain_operands(length, shape=(2,), size=3):
    inputs = test_chain.operands(length, shape)
    generator = torch.Generator().manual_seed(5)
    for name, last in {"source": (size,), "mark": (size,), "transition": (size, size)}.items():
        inputs[name] = torch.randn(*shape, length, 2, *last, generator=generator, dtype=torch.float64) / 2
    return inputs


def chain_by_steps(query, key, value, source, transition, mark, direct, initial_state):
    state, outs = initial_state, []
    for step in range(query.size(1)):
        q, k, v = query[:, step], key[:, step], value[:, step]
        own = direct[:, step, :, None] * (q * k).sum(-1, keepdim=True) * v
        outs.append(torch.einsum("bhj,bhk,bhjkv->bhv", mark[:, step], q, state) + own)
        put = torch.einsum("bhj,bhk,bhv->bhjkv", source[:, step], k, v)
        state = torch.einsum("bhij,bhjkv->bhikv", transition[:, step], state) + put
    return torch.stack(outs, dim=1), state


@pytest.mark.parametrize("length", [1, 2, 7, 16, 21])
def test_chain_equals_plain_steps(length):
    inputs = chain_operands(length)
    inputs["initial_state"] = torch.randn(2, 2, 3, 3, 5, dtype=torch.float64)
    assert_same(
        results(lambda **x: plstm_chain_matrix(**x, return_final_state=True), inputs), results(chain_by_steps, inputs)
    )


def test_chain_streams_and_takes_empty_pieces():
    inputs = chain_operands(20)
    whole = plstm_chain_matrix(**inputs)
    outs, state = [], None
    for begin, end in itertools.pairwise([0, 7, 7, 20]):
        piece = {name: tensor[:, begin:end] for name, tensor in inputs.items()}
        out, state = plstm_chain_matrix(**piece, initial_state=state, return_final_state=True)
        outs.append(out)
    assert_close(torch.cat(outs, dim=1), whole, 1e-10, "outputs")


def test_one_by_one_matrices_are_scalar_gates():
    inputs = test_chain.operands(11)
    wide = {name: inputs[name].unsqueeze(-1) for name in ("source", "mark")}
    wide["transition"] = inputs["transition"][..., None, None]
    assert_close(plstm_chain_matrix(**inputs | wide), plstm_chain(**inputs), 1e-10, "chain")


def grid_operands(width, height, size):
    inputs = test_grid2d.operands(width, height, (2,))
    generator = torch.Generator().manual_seed(5)
    for name in GATES:
        last = (size, size) if "from" in name else (size,)
        inputs[name] = torch.randn(2, width, height, 2, *last, generator=generator, dtype=torch.float64) / 2
    return inputs


def grid_by_nodes(query, key, value, direct, **gates):
    width, height = query.shape[1:3]
    right, down, columns = {}, {}, []
    none = torch.zeros(2, 2, gates["mark_up"].size(-1), 3, 5, dtype=torch.float64)
    for x in range(width):
        column = []
        for y in range(height):
            g = {name: gate[:, x, y] for name, gate in gates.items()}
            q, k, v = query[:, x, y], key[:, x, y], value[:, x, y]
            left, up = right.get((x - 1, y), none), down.get((x, y - 1), none)
            out = direct[:, x, y, :, None] * (q * k).sum(-1, keepdim=True) * v
            for mark, state in ((g["mark_left"], left), (g["mark_up"], up)):
                out = out + torch.einsum("bhj,bhk,bhjkv->bhv", mark, q, state)
            column.append(out)
            for states, way in ((right, "right"), (down, "down")):
                put = torch.einsum("bhj,bhk,bhv->bhjkv", g[f"source_{way}"], k, v)
                carried = torch.einsum("bhij,bhjkv->bhikv", g[f"{way}_from_left"], left)
                states[x, y] = put + carried + torch.einsum("bhij,bhjkv->bhikv", g[f"{way}_from_up"], up)
        columns.append(torch.stack(column, dim=1))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (3, 4), (5, 3)], ids=str)
def test_grid_equals_plain_steps(shape):
    inputs = grid_operands(*shape, 2)
    assert_same(results(lambda **x: plstm_grid2d_matrix(**x), inputs), results(grid_by_nodes, inputs))


def test_one_by_one_matrices_on_grids_are_scalar_gates():
    inputs = test_grid2d.operands(4, 5)
    wide = {name: inputs[name][..., None, None] if "from" in name else inputs[name][..., None] for name in GATES}
    assert_close(plstm_grid2d_matrix(**inputs | wide), plstm_grid2d(**inputs), 1e-10, "grid")


@pytest.mark.parametrize("reflections", [1, 2, 5])
def test_householder_products_are_orthogonal(reflections):
    vectors = torch.randn(4, reflections, 3, dtype=torch.float64, requires_grad=True)
    matrix = householder_product(vectors)
    assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand(4, 3, 3), 1e-12, "product")
    assert_close(torch.linalg.det(matrix), torch.full((4,), (-1.0) ** reflections, dtype=torch.float64), 1e-12, "det")
    assert torch.autograd.gradcheck(householder_product, (vectors,))


def test_a_reflection_along_nothing_is_the_identity():
    vectors = torch.zeros(1, 3, requires_grad=True)
    matrix = householder_product(vectors)
    matrix.sum().backward()
    assert torch.equal(matrix, torch.eye(3))  # exact: only zeros are taken away
    assert torch.isfinite(vectors.grad).all()


def test_exponentials_are_rotations_and_singular_values_stay_below_one():
    matrix = torch.randn(4, 3, 3, dtype=torch.float64)
    left, right = orthogonal_exponential(matrix), orthogonal_exponential(2 * matrix)
    identity = torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    assert_close(left @ left.mT, identity, 1e-12, "orthogonal")
    assert_close(torch.linalg.det(left), torch.ones(4, dtype=torch.float64), 1e-12, "det")
    singular = 3 * torch.randn(4, 3, dtype=torch.float64)
    values = torch.linalg.svdvals(bounded_matrix(left, singular, right))
    assert_close(values, singular.tanh().abs().sort(descending=True).values, 1e-12, "singular values")


def test_orthogonal_transitions_keep_the_norm_of_a_state():
    transition = householder_product(torch.randn(1, 5000, 1, 2, 4, dtype=torch.float64))
    zeros = torch.zeros(1, 5000, 1, 4, dtype=torch.float64)
    state = torch.randn(1, 1, 4, 1, 1, dtype=torch.float64)
    features = torch.zeros(1, 5000, 1, 1, dtype=torch.float64)
    _, last = plstm_chain_matrix(
        features, features, features, zeros, transition, zeros, features[..., 0], state, return_final_state=True
    )
    assert_close(last.norm(), state.norm(), 1e-10, "norm")


def compose(word):
    """Where each of three things ends up under a word of permutations."""
    place = torch.arange(3)
    for permutation in word:
        place = torch.tensor(permutation)[place]
    return place


def test_reflections_track_compositions_of_permutations_and_scalars_cannot():
    """One reflection swaps two coordinates, two give a cycle; products of scalars forget the order of a word."""
    permutations = list(itertools.permutations(range(3)))
    swap = {
        frozenset(pair): torch.eye(3)[pair[0]] - torch.eye(3)[pair[1]] for pair in itertools.combinations(range(3), 2)
    }
    swaps = {
        tuple(compose([p]).tolist()): v for p, v in zip([(1, 0, 2), (2, 1, 0), (0, 2, 1)], swap.values(), strict=True)
    }
    word = [permutations[i] for i in torch.randint(6, (200,), generator=torch.Generator().manual_seed(0))]
    vectors = []
    for permutation in word:
        # The first reflection is leftmost in the product, so it acts last.
        ways = [[], *([a] for a in swaps), *([a, b] for a in swaps for b in swaps)]
        way = next(w for w in ways if tuple(compose(w).tolist()) == permutation)
        chosen = [swaps[s] for s in reversed(way)]
        vectors.append(torch.stack(chosen + [torch.zeros(3)] * (2 - len(chosen))))
    transition = householder_product(torch.stack(vectors))[None, :, None].double()
    length = len(word)
    zeros, features = torch.zeros(1, length, 1, 3).double(), torch.zeros(1, length, 1, 1).double()
    start = torch.eye(3).double()[None, None, :, None, :]
    _, last = plstm_chain_matrix(
        features,
        features,
        features.expand(-1, -1, -1, 3),
        zeros,
        transition,
        zeros,
        features[..., 0],
        start,
        return_final_state=True,
    )
    assert torch.equal(last[0, 0, :, 0].argmax(dim=0), compose(word))

    scalar = torch.randn(length, dtype=torch.float64)
    turned = [word[1], word[0], *word[2:]]
    assert not torch.equal(compose(turned), compose(word))
    assert_close(scalar.prod(), scalar[[1, 0, *range(2, length)]].prod(), 1e-12, "product of scalars in another order")


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"transition must be \[..., L, H, J, J\]"):
        plstm_chain_matrix(**chain_operands(4) | {"transition": torch.zeros(2, 4, 2, 3)})
    with pytest.raises(ValueError, match=r"mark_up must be \[..., X, Y, H, J\]"):
        plstm_grid2d_matrix(**grid_operands(3, 2, 2) | {"mark_up": torch.zeros(2, 3, 2, 2)})
