"""Descriptors and their scale, by themselves."""

import math

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors

from plstm_graph.datasets.molecules.descriptors import CLIP, DescriptorError, DescriptorSet, Scaling, of_plain


def test_rdkit_set_is_that_of_rdkit() -> None:
    found = DescriptorSet(kinds=("rdkit2d",))
    molecule = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    expected = Descriptors.CalcMolDescriptors(molecule)
    values = dict(zip(found.rdkit, found.of_molecule(molecule), strict=True))
    assert list(values) == list(expected) and found.size(1) == len(values) and found.size(2) == 2 * len(values)
    for name, value in expected.items():
        assert values[name] == pytest.approx(math.log1p(value) if name == "Ipc" else value, rel=1e-5, abs=1e-6), name


def test_what_rdkit_has_no_number_for_is_missing() -> None:
    found = DescriptorSet(kinds=("rdkit2d",))
    values = found.of_molecule(Chem.MolFromSmiles("[Na+].[Cl-]"))
    assert np.isnan(values).any() and np.isfinite(values).sum() > 100
    scaling = Scaling.fit(np.stack([values, values]).astype(np.float64), found.unscaled(1))
    assert np.isfinite(scaling.apply(values[None].astype(np.float64))).all()


def test_counts() -> None:
    found = DescriptorSet(columns=("t",), kinds=("morgan:64",))
    values = found.of_molecule(Chem.MolFromSmiles("CCCCCC"))
    assert values.shape == (64,) and values.max() > math.log1p(2)
    assert found.unscaled(2).tolist() == [False] + [True] * 128


def test_scaling() -> None:
    values = np.array([[1.0, 5.0, 1e30], [3.0, 5.0, math.nan], [math.nan, 5.0, -1e30], [1e3, 5.0, 0.0]])
    scaling = Scaling.fit(values[:3], np.array([False] * 3))
    scaled = scaling.apply(values)
    assert scaled.dtype == np.float32 and np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled[:, 0], [-1, 1, 0, CLIP])
    assert scaled[:, 1].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(scaled[:, 2], [1, 0, -1, 0])
    again = Scaling.of_plain(scaling.to_plain(), 3)
    assert (again.apply(values) == scaled).all()
    huge = {"mean": [10**400] * 3, "factor": [1.0] * 3}
    for wrong in (None, {}, {"mean": [1, 2, 3], "factor": [1, math.inf, 1]}, {"mean": [1], "factor": [1]}, huge):
        with pytest.raises(ValueError, match="scale of descriptors"):
            Scaling.of_plain(wrong, 3)


def test_cells() -> None:
    found = DescriptorSet(columns=("t",))
    assert found.of_cells({"t": " 1.5e3 "}) == [1500]
    for cell, reason in (
        ("", "is empty"),
        ("NA", "is empty"),
        ("warm", "not a number"),
        ("1_0", "not"),
        ("inf", "finite"),
    ):
        with pytest.raises(DescriptorError, match=reason):
            found.of_cells({"t": cell})
    with pytest.raises(DescriptorError, match="no column 't'"):
        found.of_cells({})
    assert math.isnan(DescriptorSet(columns=("t",), allow_missing=True).of_cells({"t": "NA"})[0])


def test_plain_values_of_strangers() -> None:
    found = DescriptorSet(("t",), ("rdkit2d", "morgan:128"), allow_missing=True)
    assert of_plain(found.to_plain()) == found
    for wrong in (None, [], {"columns": "t"}, {"kinds": [1]}, {"kinds": ["rdkit3d"]}, {"kinds": ["morgan:9999999999"]}):
        with pytest.raises(ValueError, match="descriptors"):
            of_plain(wrong)
