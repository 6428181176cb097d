"""The name under which measurements of a machine are kept, such as ``amd-zen4-avx512``."""

import os
import platform
import re
from pathlib import Path

from plstm_graph.machine import instruction_set

#: Name of the generation, by vendor, family and the range of its models in Linux's /proc/cpuinfo.
_GENERATIONS = (
    ("AuthenticAMD", 23, (0x01, 0x2F), "amd-zen"),
    ("AuthenticAMD", 23, (0x30, 0xFF), "amd-zen2"),
    ("AuthenticAMD", 25, (0x10, 0x1F), "amd-zen4"),
    ("AuthenticAMD", 25, (0x60, 0x7F), "amd-zen4"),
    ("AuthenticAMD", 25, (0xA0, 0xAF), "amd-zen4"),
    ("AuthenticAMD", 25, (0x00, 0xFF), "amd-zen3"),
    ("AuthenticAMD", 26, (0x00, 0xFF), "amd-zen5"),
    ("GenuineIntel", 6, (0x4F, 0x4F), "intel-broadwell"),
    ("GenuineIntel", 6, (0x55, 0x55), "intel-skylake"),
    ("GenuineIntel", 6, (0x6A, 0x6C), "intel-icelake"),
    ("GenuineIntel", 6, (0x8F, 0x8F), "intel-sapphire-rapids"),
    ("GenuineIntel", 6, (0xCF, 0xCF), "intel-emerald-rapids"),
    ("GenuineIntel", 6, (0xAD, 0xAE), "intel-granite-rapids"),
)

#: How a processor is held to a smaller instruction set: torch, its libraries, and native code.
HELD_TO = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "PLSTM_CFLAGS": "-mno-avx512f",
    }
}


def processor_name(cpuinfo: str) -> str:
    """Vendor and generation of a processor, as far as they are known.

    Args:
        cpuinfo: Content of Linux's ``/proc/cpuinfo``; empty on other systems.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "vendor_id" in fields and fields.get("model", "").isdigit():
        family, model = int(fields["cpu family"]), int(fields["model"])
        for vendor, of_family, (first, last), name in _GENERATIONS:
            if (vendor, of_family) == (fields["vendor_id"], family) and first <= model <= last:
                return name
    named = fields.get("model name") or platform.processor() or platform.machine() or "unknown"
    words = re.findall("[a-z0-9]+", re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", " ", named.lower()))
    return "-".join(words[:4]) or "unknown"


def machine_key(instructions: str | None = None) -> str:
    """Processor and instruction set.

    Args:
        instructions: Which the processor is held to. (default: all that torch uses)
    """
    path = Path("/proc/cpuinfo")
    cpuinfo = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return f"{processor_name(cpuinfo)}-{instructions or instruction_set()}"


def held_to(instructions: str | None, cache: Path) -> dict[str, str]:
    """Variables of a process that is to use no larger instructions.

    Args:
        instructions: A key of :data:`HELD_TO`; None for no limit.
        cache: Folder for what is compiled and timed under that limit: the user's own must not hold it.
    """
    if instructions is None:
        return dict(os.environ)
    return os.environ | HELD_TO[instructions] | {"XDG_CACHE_HOME": str(cache)}
