import pytest

from benchmarks.processor import HELD_TO, held_to, machine_key, processor_name
from plstm_graph.machine import instruction_set


def cpuinfo(**fields):
    lines = [f"{name.replace('_of_cpu', '')}\t: {value}" for name, value in fields.items()]
    return "\n".join([*lines, "flags\t: avx2", "", *lines])


@pytest.mark.parametrize(
    ("vendor", "family", "model", "name"),
    [
        ("AuthenticAMD", 25, 17, "amd-zen4"),
        ("AuthenticAMD", 25, 1, "amd-zen3"),
        ("AuthenticAMD", 26, 2, "amd-zen5"),
        ("GenuineIntel", 6, 207, "intel-emerald-rapids"),
        ("GenuineIntel", 6, 143, "intel-sapphire-rapids"),
        ("GenuineIntel", 6, 1, "intel-xeon-gold-6148"),
    ],
)
def test_names_of_processors(vendor, family, model, name):
    fields = {"vendor_id": vendor, "cpu family": family, "model": model}
    assert processor_name(cpuinfo(**fields, **{"model name": "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz"})) == name


def test_a_system_without_cpuinfo_has_a_name_too():
    assert processor_name("")


def test_the_key_names_the_instruction_set():
    assert machine_key().endswith(f"-{instruction_set()}")
    assert machine_key("avx2").endswith("-avx2")


def test_a_limit_has_a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/the/users")
    assert held_to(None, tmp_path)["XDG_CACHE_HOME"] == "/the/users"
    limited = held_to("avx2", tmp_path)
    assert limited["XDG_CACHE_HOME"] == str(tmp_path) and limited.items() >= HELD_TO["avx2"].items()
