"""The cache of native code: sound or made anew, never in another's hand; every failure ends in torch, told once."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

import plstm_graph
from plstm_graph.graph import LineGraph
from plstm_graph.native import libraries, load
from plstm_graph.native.load import Source, load_native
from plstm_graph.ops import plstm, plstm_grid2d, plstm_max_plus
from plstm_graph.testing import random_dag, random_operands

ROOT = Path(plstm_graph.__file__).resolve().parent

COMPILER = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(not COMPILER or os.name == "nt", reason="needs a C compiler")
pytestmark = needs_compiler

SOURCE = "#include <stdint.h>\nint64_t twice(int64_t x) { return 2 * x; }\n"

#: A library that tells when it is loaded.
PLANTED = """
#include <stdint.h>
#include <stdio.h>
__attribute__((constructor)) static void mark(void) { FILE *f = fopen("%s", "w"); if (f) fclose(f); }
int64_t twice(int64_t x) { return 3 * x; }
"""


def every_form():
    """Run all forms that run in C where they can, on real sources, beside the naive one."""
    graph = LineGraph(random_dag(9, 14, torch.Generator().manual_seed(0)), 9)
    operands = random_operands(graph)
    x, gate = torch.ones(2, 3, 1, 1), torch.ones(2, 3, 1)
    for real in (torch.float64, torch.float32):
        own = {name: tensor.to(real) for name, tensor in operands.items()}
        expected = plstm(**own, line_graph=graph, form="naive")
        for form in ("parallel", "recurrent", "auto"):
            torch.testing.assert_close(plstm(**own, line_graph=graph, form=form), expected)
        source, transition, mark, direct = (own[name] for name in ("source", "transition", "mark", "direct"))
        for temperature in (0.0, 0.5):
            found, expected = (
                plstm_max_plus(source, transition, mark, direct, graph, temperature, form) for form in ("auto", "naive")
            )
            torch.testing.assert_close(found, expected)
        of_grid = [x.to(real)] * 3 + [gate.to(real)] * 9
        torch.testing.assert_close(plstm_grid2d(*of_grid), plstm_grid2d(*of_grid, form="naive"))


ONE_LIBRARY = """
import sys
from pathlib import Path
from plstm_graph.native import libraries
print(libraries.library(Path(sys.argv[1]), None, ["twice"], sys.argv[2:]).twice(21))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of this test's own, in a process that has loaded nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("PLSTM_COMPILE", "PLSTM_CFLAGS", "PLSTM_COMPILE_TIMEOUT"):
        monkeypatch.delenv(variable, raising=False)
    load.forget_native()
    yield tmp_path / "cache" / "plstm_graph"
    load.forget_native()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "twice.c"
    path.write_text(SOURCE, encoding="utf-8")
    return Source(path, ("twice",))


def load_again(source):
    load.forget_native()
    return load_native(source)


def make(source, cache):
    """The file of a library that was made just now."""
    assert load_again(source).twice(21) == 42
    (path,) = cache.iterdir()
    return path


def fails(source, message):
    """Loading fails with one warning, and later calls say nothing more."""
    with pytest.warns(RuntimeWarning, match=r"(?s)cannot compile .*" + message + r".*slower code in torch") as seen:
        assert load_again(source) is None
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_native.cache_clear()
        assert load_native(source) is None
        assert load_native(source, "float") is None


def warnings_of_every_form():
    """What all forms warn of, in a process that has loaded no native code."""
    load.forget_native()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        every_form()
    return [str(warning.message) for warning in seen]


def test_a_library_is_made_once(source, cache, monkeypatch):
    path = make(source, cache)
    assert path.name.startswith("twice-int64-")
    assert path.stem.endswith(hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    assert not stat.S_IMODE(cache.stat().st_mode) & 0o077 and not stat.S_IMODE(path.stat().st_mode) & 0o022
    monkeypatch.setattr(libraries, "_run", lambda *_: pytest.fail("compiled again"))
    assert load_again(source).twice(21) == 42


@pytest.mark.parametrize("change", ["source", "included", "included there", "real", "flags", "processor", "compiler"])
def test_whatever_a_library_is_made_of_changes_its_name(source, cache, monkeypatch, tmp_path, change):
    header, below = tmp_path / "header.h", tmp_path / "folder" / "below.h"
    below.parent.mkdir()
    header.write_text('#pragma once\n  #  include "folder/below.h"\n', encoding="utf-8")
    below.write_text('#include "../header.h"\n', encoding="utf-8")  # a circle, as guards allow
    guarded = '#ifndef ONCE\n#define ONCE\n#include "header.h"\n#endif\n'
    header.write_text("#pragma once\n" + header.read_text(encoding="utf-8"), encoding="utf-8")
    source.path.write_text(guarded + SOURCE, encoding="utf-8")
    make(source, cache)
    real = None
    if change == "source":
        source.path.write_text(guarded + SOURCE + "/* another */\n", encoding="utf-8")
    elif change == "included":
        header.write_text(header.read_text(encoding="utf-8") + "/* another */\n", encoding="utf-8")
    elif change == "included there":
        below.write_text("/* another */\n", encoding="utf-8")
    elif change == "real":
        real = "double"
    elif change == "flags":
        monkeypatch.setenv("PLSTM_CFLAGS", "-DX=1")
    elif change == "processor":
        monkeypatch.setattr(libraries, "processor_features", lambda: "flags: one")
    else:
        program = tmp_path / "cc"
        program.write_text(f'#!/bin/sh\nexec {COMPILER} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("CC", str(program))
    load.forget_native()
    assert load_native(source, real).twice(21) == 42
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("source", sorted(ROOT.rglob("*.c")), ids=lambda path: path.name)
def test_included_files_are_those_that_the_compiler_reads(source):
    command = [*COMPILER.split(), "-MM", "-DREAL=float", str(source)]
    rule = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    read = {Path(name).resolve() for name in rule.partition(":")[2].replace("\\\n", " ").split()}
    assert set(libraries.source_files(source)) == read


def test_an_included_file_that_is_missing_ends_in_torch(source, cache):
    source.path.write_text('#include "nowhere.h"\n' + SOURCE, encoding="utf-8")
    fails(source, "nowhere.h")
    assert not cache.exists() or not list(cache.iterdir())


def test_a_compiler_of_another_date_is_another_compiler(source, cache, monkeypatch, tmp_path):
    program = tmp_path / "cc"
    program.write_text(f'#!/bin/sh\nexec {COMPILER} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    make(source, cache)
    os.utime(program, ns=(1, 1))
    load_again(source)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("known", [True, False])
def test_only_a_known_processor_gets_code_of_its_own(source, monkeypatch, known):
    commands, run = [], libraries._run
    monkeypatch.setattr(libraries, "processor_features", lambda: "flags: some" if known else None)
    monkeypatch.setattr(libraries, "_run", lambda command, limit: commands.append(command) or run(command, limit))
    assert load_again(source).twice(21) == 42
    assert ("-march=native" in commands[0]) == known


def test_features_of_this_processor_are_read():
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("features are read from /proc/cpuinfo only")
    assert any(line.startswith(("flags", "features", "isa")) for line in libraries.processor_features().splitlines())


@pytest.mark.parametrize("damage", ["half", "empty", "one page", "one bit", "text", "longer", "unreadable", "link"])
def test_a_damaged_library_is_made_anew(source, cache, damage):
    path = make(source, cache)
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    damaged = {
        "half": content[: len(content) // 2],
        "empty": b"",
        "one page": content[:4096],
        "one bit": bytes(changed),
        "text": b"no library\n",
        "longer": content + b"\0",
        "unreadable": content[:-1],
        "link": b"",
    }[damage]
    path.unlink()  # the process still runs the old one
    if damage == "link":
        path.symlink_to(cache.parent / "nowhere")
    else:
        path.write_bytes(damaged)
    if damage == "unreadable":
        path.chmod(0)
    assert load_again(source).twice(21) == 42
    (path,) = cache.iterdir()
    assert path.read_bytes() == content and not path.is_symlink()


def test_damaged_libraries_of_every_form_are_made_anew(monkeypatch):
    monkeypatch.setenv("PLSTM_CFLAGS", "-O0")  # quickly compiled
    assert warnings_of_every_form() == []
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "plstm_graph"
    libraries = sorted(folder.iterdir())
    assert len(libraries) == 9  # 4 sources in 2 dtypes, and one of integers
    for number, path in enumerate(libraries):
        content = path.read_bytes()
        path.unlink()  # this process runs the old one
        path.write_bytes(content[: (0, 4096, len(content) // 2)[number % 3]])
    # Another process has nothing in memory.
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", f"from {__name__} import every_form; every_form()"]
    subprocess.run(command, check=True, timeout=250, cwd=ROOT.parent)
    assert sorted(folder.iterdir()) == libraries


def give_away(path, monkeypatch):
    """Make a file or folder another user's."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        own = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)


def plant(source, cache, tmp_path):
    """A library in the place of the right one, and the file that is there once its code has run."""
    path, marker, wrong = make(source, cache), tmp_path / "marker", tmp_path / "planted.c"
    wrong.write_text(PLANTED % marker, encoding="utf-8")
    subprocess.run([*COMPILER.split(), "-shared", "-fPIC", str(wrong), "-o", str(tmp_path / "planted.so")], check=True)
    content = (tmp_path / "planted.so").read_bytes()
    path.unlink()
    # Whoever plants it can work out the right name.
    path = path.with_name(path.stem[:-16] + hashlib.sha256(content).hexdigest()[:16] + ".so")
    path.write_bytes(content)
    path.chmod(0o755)
    return path, marker


def test_a_planted_library_would_run(source, cache, tmp_path):
    """What the next tests keep out does work when it is the user's own."""
    _, marker = plant(source, cache, tmp_path)
    assert load_again(source).twice(21) == 63 and marker.exists()


@pytest.mark.parametrize("how", ["another's file", "file open to others", "folder open to others", "folder of a group"])
def test_what_others_could_have_put_there_does_not_run(source, cache, tmp_path, monkeypatch, how):
    path, marker = plant(source, cache, tmp_path)
    if how == "another's file":
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        give_away(path, monkeypatch)
    elif how == "file open to others":
        path.chmod(0o777)
    else:
        cache.chmod(0o777 if how == "folder open to others" else 0o770)
    assert load_again(source).twice(21) == 42
    assert not marker.exists()
    assert not stat.S_IMODE(cache.stat().st_mode) & 0o022


def test_a_folder_of_another_user_is_not_used(source, cache, tmp_path, monkeypatch):
    _, marker = plant(source, cache, tmp_path)
    give_away(cache, monkeypatch)
    fails(source, "belongs to another user, number [0-9]+; set XDG_CACHE_HOME to a folder of your own")
    assert not marker.exists()


@pytest.mark.parametrize("base", ["/dev/null", "/proc/nowhere", "a file"])
def test_a_cache_that_cannot_be_written_ends_in_torch(source, monkeypatch, tmp_path, base):
    if base == "a file":
        base = tmp_path / "cache"
        base.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    fails(source, "")


@pytest.mark.parametrize("full", [True, False])
def test_what_lies_in_a_read_only_cache_is_used(source, cache, monkeypatch, full):
    path = make(source, cache)
    cache.chmod(0o500)

    def refuse(*_, **__):
        raise PermissionError(f"Permission denied: '{cache}'")

    monkeypatch.setattr(libraries.tempfile, "mkstemp", refuse)  # root may write anywhere
    if full:
        assert load_again(source).twice(21) == 42
    else:
        path.unlink()
        fails(source, "Permission denied")
    cache.chmod(0o700)


@pytest.mark.parametrize("cache_home", ["", "somewhere/relative"])
def test_without_a_home_folder_torch_is_used(source, monkeypatch, tmp_path, cache_home):
    """A relative XDG_CACHE_HOME is to be ignored: a library of the working folder would be anybody's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", cache_home)

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    fails(source, "Could not determine home directory")
    assert not (tmp_path / "somewhere").exists()


def test_a_compiler_that_hangs_is_stopped_with_all_it_started(source, cache, monkeypatch, tmp_path):
    program, pids = tmp_path / "hangs", tmp_path / "pids"
    # The child holds the output open, as the passes of a compiler do.
    program.write_text(f"#!/bin/sh\nsleep 300 &\necho $! $$ >> {pids}\nsleep 300\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    monkeypatch.setenv("PLSTM_COMPILE_TIMEOUT", "2")
    fails(source, "did not end within 2 seconds")
    (line,) = pids.read_text().splitlines()  # neither flags nor another source made it try again
    for pid in map(int, line.split()):
        assert wait_for_end(pid), "still running"
    assert not list(cache.iterdir())


def wait_for_end(pid):
    """Whether a process ends, or is a zombie that its new parent has not looked after yet."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/nowhere/cc", "there is no compiler '/nowhere/cc'"),
        ("no-such-compiler -x", "there is no compiler 'no-such-compiler'"),
        ('gcc "', "No closing quotation"),
        ("false", "false ended with status 1"),
        ("true", ""),  # makes nothing
        ("echo", ""),
    ],
    ids=["path", "name", "quotes", "fails", "makes nothing", "talks"],
)
def test_a_compiler_that_is_none(source, cache, monkeypatch, command, message):
    monkeypatch.setenv("CC", command)
    fails(source, message)
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is no C\n", "wrong\\.c"),
        ("int other(void) { return 1; }\n", "undefined symbol|not found|twice"),
        ("", ""),
    ],
    ids=["no C", "another function", "nothing"],
)
def test_a_source_that_makes_no_library(tmp_path, cache, text, message):
    path = tmp_path / "wrong.c"
    path.write_text(text, encoding="utf-8")
    fails(Source(path, ("twice",)), message)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("setting", [{"CC": "/nowhere/cc"}, {"XDG_CACHE_HOME": "/dev/null"}], ids=str)
def test_every_form_gives_its_values_with_one_warning(setting, monkeypatch):
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    found = warnings_of_every_form()
    assert len(found) == 1, found


def test_processes_that_compile_at_once_do_not_disturb_each_other(source, cache):
    command = [sys.executable, "-W", "error", "-c", ONE_LIBRARY, str(source.path), *COMPILER.split()]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["42\n"] * 4
    assert load_again(source).twice(21) == 42
    assert all(path.suffix == ".so" for path in cache.iterdir())


def test_what_a_killed_process_left_is_removed(source, cache, monkeypatch, tmp_path):
    program = tmp_path / "waits"
    program.write_text("#!/bin/sh\nsleep 300\n", encoding="utf-8")
    program.chmod(0o755)
    process = subprocess.Popen([sys.executable, "-c", ONE_LIBRARY, str(source.path), str(program)])
    while not (cache.is_dir() and any(cache.iterdir())):
        assert process.poll() is None
        time.sleep(0.05)
    (left,) = cache.iterdir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.exists()
    # Another process may still be at it, as long as a compiler is given.
    assert load_again(source).twice(21) == 42 and left.exists()
    os.utime(left, (1, 1))
    monkeypatch.setenv("PLSTM_CFLAGS", "-DX=1")
    assert load_again(source).twice(21) == 42 and not left.exists()
