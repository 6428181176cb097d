"""Read damaged files, a seed at a time, in a process of its own, so that a crash of it is seen.

``python -m tests.fuzz.file_worker FOLDER [KIND ...]`` takes seeds from stdin, a line each, and answers each in a line:
the kind of file and what came of it. Whatever it writes, makes or starts outside of FOLDER is a failure too.
"""

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.damage import CANARY, damaged_file
from tests.fuzz.kinds import KINDS

#: What a reader may raise. Everything of the package that says what is wrong with a file is one of them.
CLEAN = (ValueError, OSError)
# No reader of files of a few kilobytes needs more; far above what the slowest takes.
_CPU_SECONDS, _SECONDS, _BYTES = 20, 200, 6 << 30
_STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "ctypes.dlopen")
_PLACES = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Sees what this process does while a file is read, whoever does it.

    Args:
        folder: Where it may write.
    """

    def __init__(self, folder: Path) -> None:
        self.allowed = f"{folder.resolve()}{os.sep}"
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.active:
            return
        if event in _STARTS:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and (flags & _WRITES or set(mode or "") & set("wax+")):
                self._check(event, path)
        elif event in _PLACES:
            for path in arguments[: _PLACES[event]]:
                self._check(event, path)

    def _check(self, event: str, path: str | bytes | os.PathLike | int) -> None:
        if isinstance(path, int):
            return
        place = os.path.abspath(os.fsdecode(path))
        if os.path.basename(place) == CANARY or not (place + os.sep).startswith(self.allowed):
            if not place.startswith(("/dev/null", "/dev/shm", "/proc/self")):
                self.seen.append(f"{event} {place}")


def check_files(seed: int, kinds: Sequence[str], folder: Path, watch: Watch) -> dict[str, object]:
    """Damage files as a seed says, and read them.

    Args:
        seed: The seed.
        kinds: Kinds of files to draw from.
        folder: An empty folder, which is empty again afterwards.
        watch: Sees what happens.

    Returns:
        Seed, kind of file, what came of it (``outcome``), and what is wrong with that (``failure``), None for nothing.
    """
    chance = random.Random(seed)
    name = chance.choice(kinds)
    kind = KINDS[name]
    files = dict(kind.files)
    names = [each for each in files if each not in kind.spared]
    for each in chance.sample(names, min(len(names), chance.choice((1, 1, 1, 2)))):
        files[each] = damaged_file(each, files[each], chance)
    place, made = folder / "files", folder / "made"
    made.mkdir()
    for each, content in files.items():
        (place / each).parent.mkdir(parents=True, exist_ok=True)
        (place / each).write_bytes(content)
    outcome, failure = "read", None
    watch.seen.clear()
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
    faulthandler.dump_traceback_later(_SECONDS, exit=True)
    watch.active = True
    try:
        kind.read(place, made)
    except CLEAN as error:
        outcome = f"{type(error).__name__}"
        if not str(error).strip():
            failure = "an error without a message\n" + traceback.format_exc()
    except BaseException as error:
        outcome, failure = type(error).__name__, traceback.format_exc()[-6000:]
    finally:
        watch.active = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    if watch.seen or (folder / CANARY).exists() or Path(CANARY).exists():
        failure = f"it did what no file may: {watch.seen[:5]}\n{failure or ''}"
    for path in (place, made, folder / CANARY):
        shutil.rmtree(path, ignore_errors=True)
    return {"seed": seed, "kind": name, "outcome": outcome, "failure": failure}


def work(folder: Path, kinds: Sequence[str]) -> None:
    """Answer the seeds on stdin."""
    os.chdir(folder)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing else may write among the answers
    warnings.simplefilter("ignore")
    # Made before the limits, and before the watch: what they import or compile is none of a file's doing.
    for number, kind in enumerate(KINDS[name] for name in kinds):
        whole = folder / f"whole{number}"
        for name, content in kind.files.items():
            (whole / "files" / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / "files" / name).write_bytes(content)
        (whole / "made").mkdir()
        kind.read(whole / "files", whole / "made")
        shutil.rmtree(whole)
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where it is, and then ends
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + _BYTES, used + _BYTES))
    watch = Watch(folder)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(check_files(int(line), kinds, folder, watch)), file=answers, flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2:] or sorted(KINDS))
