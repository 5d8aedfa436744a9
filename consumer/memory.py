"""The memory cap: planned at the start, watched while running, and left by before it is passed."""

from __future__ import annotations

import ctypes
import gc
import logging
import mmap
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from consumer.errors import MemoryCapExceeded, SettingsError
from consumer.metrics import Metrics
from consumer.settings import Settings

MIB = 1024**2
RESERVE = 8 * MIB  # heap growth, thread stacks, what no one counts
SOFT_SHARE = 0.9  # of the cap
MESSAGE_BYTES = 12  # what a character of a text costs on its way: bytes, string, output
_TRIM_EVERY_SECONDS = 5.0
_M_ARENA_MAX = -8  # of malloc.h

# Of /proc/self/smaps: a line for each mapping, whose inode is 0 if it has no file, and its sizes in lines below
_FILE_THAT_IS_READ = re.compile(r"^(\w+)-(\w+) r-\S+ \S+ \S+ [1-9]\d* .*\n((?:[A-Z].*\n)+)", re.MULTILINE)
_NO_COPY = re.compile(r"^Anonymous: +0 kB\n(?s:.*)^Swap: +0 kB\n", re.MULTILINE)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the plan: what it is and its bytes."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the memory under a cap goes. `batch_tokens` is what fits, at most what was asked for."""

    cap: int
    rows: tuple[Row, ...]
    batch_tokens: int

    @property
    def total(self) -> int:
        """Bytes of all rows."""
        return sum(row.bytes for row in self.rows)


def plan(settings: Settings, cap: int, resident: int, *, token_bytes: int, row_tokens: int, batch_tokens: int) -> Plan:
    """Add up what the worker will take and give the rest to the token batches; raise `SettingsError` if it cannot be.

    `resident` is measured with the model loaded; `token_bytes` is what a padded token takes in the engine, and
    `row_tokens` the least that a batch holds. Without a cap (0) the batch budget is `batch_tokens`, if that is more.
    """
    fixed = (
        Row("interpreter, libraries, model", resident),
        Row("prefetched records (fetch_queue)", settings.fetch_queue),
        Row("unacknowledged messages (send_queue)", settings.send_queue),
        Row("long texts and what waits behind (backlog)", settings.backlog),
        Row("records in work, and polled early (batch_bytes)", settings.batch_bytes * (MESSAGE_BYTES + 1)),
        *(
            [Row("outcomes of a transaction (transaction_bytes)", settings.transaction_bytes)]
            if settings.delivery == "exactly-once"
            else []
        ),
        Row("reserve", RESERVE),
    )
    taken = sum(row.bytes for row in fixed)
    tokens = max(batch_tokens, row_tokens)
    if cap:
        tokens = min(tokens, (cap - taken) // token_bytes)
    if tokens < row_tokens:
        needed = (*fixed, Row(f"smallest token batch ({row_tokens} tokens)", row_tokens * token_bytes))
        table = "\n".join(f"  {row.name:<50}{row.bytes / MIB:8.1f} MiB" for row in needed)
        total = sum(row.bytes for row in needed)
        raise SettingsError(
            f"a memory cap of {cap / MIB:.0f} MiB cannot hold this worker, which needs {total / MIB:.0f}:\n{table}\n"
            "Raise RANER_MEMORY_CAP, or lower RANER_FETCH_QUEUE, RANER_SEND_QUEUE, RANER_BACKLOG or RANER_WINDOW"
        )
    return Plan(cap, (*fixed, Row(f"token batch ({tokens} tokens)", tokens * token_bytes)), tokens)


class Watch:
    """Keeps resident memory under the cap: gives memory back over the soft mark, ends the process over the cap."""

    def __init__(
        self,
        cap: int,
        metrics: Metrics,
        shrink: Callable[[], object],
        clock: Callable[[], float],
        resident: Callable[[], int],
    ) -> None:
        """`shrink` halves the batch budget; `clock` counts seconds; `resident` returns bytes."""
        self._cap, self._metrics, self._shrink = cap, metrics, shrink
        self._clock, self._resident = clock, resident
        self._acted = -_TRIM_EVERY_SECONDS
        metrics.limit.set(cap)

    def check(self) -> None:
        """Look once; raise `MemoryCapExceeded` when nothing helps. Call it before a fetch and between token batches."""
        if not self._cap:
            return
        resident = self._resident()
        if resident > self._cap * SOFT_SHARE and self._clock() - self._acted >= _TRIM_EVERY_SECONDS:
            self._acted = self._clock()
            trim()
            self._shrink()
            self._metrics.memory_actions.labels("trim_and_shrink").inc()
            after = self._resident()
            log.warning("memory_over_soft_mark", extra={"resident": resident, "after": after, "cap": self._cap})
            resident = after
        if resident > self._cap:
            self._metrics.memory_actions.labels("stop").inc()
            raise MemoryCapExceeded(
                f"resident memory is {resident / MIB:.0f} MiB, the cap is {self._cap / MIB:.0f} MiB "
                "(RANER_MEMORY_CAP); nothing of this batch was committed"
            )


def resident() -> int:
    """Return this process's resident memory in bytes."""
    return _status("VmRSS") or int(psutil.Process().memory_info().rss)


def peak() -> int:
    """Return this process's highest resident memory in bytes: VmHWM where there is /proc, else ru_maxrss."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cgroup_limit(root: Path = Path("/")) -> int:
    """Return the least memory limit of this process's cgroup and its parents in bytes; 0 if there is none."""
    total = psutil.virtual_memory().total
    limits = _limits(root, "memory", ["memory.max"], ["memory.limit_in_bytes"])
    return min((limit for (limit,) in limits if limit < total), default=0)


def cpu_quota(root: Path = Path("/")) -> int:
    """Return how many processors this process may use: its affinity, cut to its cgroups' least quota, at least 1."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else psutil.cpu_count() or 1
    quotas = _limits(root, "cpu", ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"])
    return min([cores, *(max(1, quota // period) for quota, period in quotas)])


def cgroups(membership: str, controller: str) -> Iterator[PurePosixPath]:
    """Yield the cgroups that bind a process in what `controller` counts, its own and each parent, below /sys/fs/cgroup.

    `membership` is its /proc/self/cgroup: a line `0::/path` for version 2, and a line `4:cpu,cpuacct:/path` for each
    hierarchy of version 1, where `cpu` leads to cpu,cpuacct. In a namespace the path is `/`. A path that leads out of
    the namespace (`/../path`), or is the host's (Docker, version 1), is not there; the root, its last parent, is.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            own = PurePosixPath(controller if controllers else "", path.removeprefix("/"))
            yield from (own, *own.parents)


def share_heap() -> None:
    """Let the threads that are started from now on share one heap, where the C library (glibc) would give each its own.

    The Kafka clients' threads allocate little, and what they free would stay with each.
    """
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(_M_ARENA_MAX, 1)


def trim() -> None:
    """Give freed heap back to the system, where the C library can."""
    gc.collect()
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)


def release_files() -> None:
    """Take the pages of files that this process only reads, and has no copy of, out of its resident memory.

    Most are code of libraries that ran once, at the start; what runs again comes back from the page cache. A copy, such
    as the loader makes of what it relocates, would be lost: a mapping with one is left alone, and so are all where none
    is told of even in the heap (QEMU). For the start only: no thread may map or unmap anything meanwhile.
    """
    mappings = _text(Path("/proc/self/smaps"))
    if re.search(r"^Anonymous: +[1-9]", mappings, re.MULTILINE):
        for start, end, sizes in _FILE_THAT_IS_READ.findall(mappings):
            if _NO_COPY.search(sizes):
                address, length = int(start, 16), int(end, 16) - int(start, 16)
                ctypes.CDLL(None).madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def _status(name: str) -> int:
    """Return a size of /proc/self/status in bytes, 0 if it is not there; by a number /proc may know another process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", _text(Path("/proc/self/status")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _limits(root: Path, controller: str, *files: list[str]) -> Iterator[list[int]]:
    """Yield the numbers in `files`, those of version 2 and those of version 1, for each of our cgroups with a limit."""
    for cgroup in cgroups(_text(root / "proc/self/cgroup"), controller):
        for names in files:
            words = " ".join(_text(root / "sys/fs/cgroup" / cgroup / name) for name in names).split()
            if words and all(word.isdecimal() for word in words):  # "max" and -1 are no limit
                yield [int(word) for word in words]


def _text(path: Path) -> str:
    """Return what a file holds, nothing if it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
