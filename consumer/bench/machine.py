"""What measurements were made on: figures without their machine say nothing."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from consumer.memory import cpu_quota
from nlp.engines.cpu import cpu_flags

_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")
LIBRARIES = ("numpy", "ctranslate2", "torch", "transformers", "modelscope", "confluent-kafka")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor and what runs on it. `flags` are the ones that decide how fast int8 is; `threads` were used."""

    cpu: str
    flags: tuple[str, ...]
    cores: int
    threads: int
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''} on {self.cores} cores"
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return (
            f"{self.cpu} ({', '.join(self.flags) or 'no flags known'}), {threads}, "
            f"{self.memory_bytes / 2**30:.0f} GiB, {self.system}, Python {self.python}, {libraries}"
        )


def describe(threads: int) -> Machine:
    """Look at this machine."""
    flags = cpu_flags(CPUINFO)
    return Machine(
        cpu=cpu_name(_text(CPUINFO)) or platform.processor() or platform.machine(),
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=cpu_quota(),
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries=dict(_versions(LIBRARIES)),
    )


def cpu_name(cpuinfo: str) -> str:
    """Return the processor's name from /proc/cpuinfo, empty where it names none; family and model tell EPYCs apart."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip(), value.strip())
    numbers = [f"{name.removeprefix('cpu ')} {fields[name]}" for name in ("cpu family", "model") if name in fields]
    return ", ".join([fields["model name"], *numbers]) if "model name" in fields else ""


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
