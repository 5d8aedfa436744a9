"""What this processor and its C library can do, as far as it decides how a model is computed."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

_WIDE_SUMS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # these add products of int8 in 32 bits
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets that Linux names for this processor; empty where it does not say."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def is_x86() -> bool:
    """Say whether this is an x86 processor."""
    return platform.machine().lower() in ("x86_64", "amd64")


def adds_pairs_in_16_bits() -> bool:
    """Say whether two neighbouring int8 products are added in 16 bits, where large ones overflow (AVX2, AVX-512)."""
    return is_x86() and not cpu_flags() & _WIDE_SUMS


def overflows(scale: str) -> bool:
    """Say whether int8 weights of this scale are computed wrongly here."""
    return scale == "plain" and adds_pairs_in_16_bits()


def int8_is_fast() -> bool:
    """Say whether int8 products are worth their rounding: AVX2 or better, or another architecture's own."""
    return not is_x86() or "avx2" in cpu_flags()


def keep_heap() -> None:
    """Have glibc keep what a batch has freed for the next one.

    By itself it gives the top of the heap back each time, and faulting the pages in again took a quarter of the time.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(_M_TRIM_THRESHOLD, 64 * 1024**2)
