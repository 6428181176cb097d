"""YAML and nested values of strangers: what is small stays small, and what is no plain value is refused."""

import pytest
import yaml

from plstm_graph.datasets.storage.plain_values import MAX_DEPTH, YamlError, check_plain, load_yaml

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 30))
KEYS = "? &a [1, 2]\n: 1\n? [*a, *a]\n: 2\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "refer to each other so often"),
        (MERGES, "refer to each other so often"),
        ("a: &a [*a]", "contain themselves"),
        ("a: &a {b: {c: *a}}", "contain themselves"),
        ("[" * 100 + "]" * 100, "nested deeper|nested too deep"),
        ("[" * 100_000, "nested"),
        ("- " * 50_000 + "x", "nested"),
        ("{a: " * 2000 + "1" + "}" * 2000, "nested"),
        (KEYS, "key"),
        ("!!python/object/apply:os.system ['touch made']", "constructor"),
        ("a: !!python/name:os.system", "constructor"),
        ("a: !!python/object/new:yaml.Loader []", "constructor"),
        ("a: !unknown 1", "constructor"),
        ("a: [1", "expected|while"),
        ("a: 2001-99-99", "month"),
        ("a: " + "9" * 10_000, "digits"),
        ("--- 1\n--- 2\n", "document"),
        ("a: \x00", "special characters|unacceptable"),
    ],
)
def test_what_is_no_plain_yaml(text, reason):
    with pytest.raises(YamlError, match=reason):
        load_yaml(text)


def test_yaml_that_people_write():
    text = (
        "model: &m {width: 8, rates: [1.0e-3, 2]}\nother: *m\nthird: {<<: *m, depth: 2}\nnone: null\ndate: 2001-01-02\n"
    )
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml("") is None
    with pytest.raises(YamlError) as raised:
        load_yaml("a: 1\nb: [2\nc: 3\n")
    assert raised.value.line == 3


def test_values_as_deep_and_as_often_as_people_write():
    value = [1]
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    check_plain(value)
    shared = list(range(1000))
    check_plain({"first": shared, "second": shared, 3: (shared, None, b"x", 1.5, True)})
    with pytest.raises(ValueError, match="key"):
        check_plain({(1, 2): 3})
    for value in ({1, 2}, len, object()):
        with pytest.raises(ValueError, match="a value is a builtins"):
            check_plain([value])
