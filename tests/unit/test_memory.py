import pytest
from twins import Clock

from consumer import memory
from consumer.errors import MemoryCapExceeded, SettingsError
from consumer.memory import MIB, Watch, cgroup_limit, cpu_quota, plan
from consumer.metrics import Metrics
from consumer.settings import load

SETTINGS = load({"bootstrap_servers": "b:1", "input_topic": "in", "output_topic": "out"}, {}).settings
SIZES = {"token_bytes": 50 * 1024, "row_tokens": 128, "batch_tokens": 512}


def test_the_batch_gets_what_the_cap_leaves():
    free = plan(SETTINGS, 0, 100 * MIB, **SIZES)
    assert free.batch_tokens == 512
    tight = plan(SETTINGS, free.total - 5 * MIB, 100 * MIB, **SIZES)
    assert 128 <= tight.batch_tokens < free.batch_tokens
    assert tight.total <= tight.cap


def test_a_batch_holds_a_row_of_the_window_however_small_its_budget():
    sizes = SIZES | {"row_tokens": 1024}
    wide = plan(SETTINGS, 0, 100 * MIB, **sizes)
    assert wide.batch_tokens == 1024
    with pytest.raises(SettingsError, match="smallest token batch"):
        plan(SETTINGS, wide.total - MIB, 100 * MIB, **sizes)


def test_a_cap_that_cannot_hold_the_model_is_refused_with_the_table():
    with pytest.raises(SettingsError) as caught:
        plan(SETTINGS, 120 * MIB, 100 * MIB, **SIZES)
    for told in (
        "a memory cap of 120 MiB",
        "which needs",
        "interpreter, libraries, model",
        "100.0 MiB",
        "RANER_FETCH_QUEUE",
    ):
        assert told in str(caught.value)


class Scene:
    def __init__(self, cap=100 * MIB):
        self.clock, self.metrics, self.resident, self.shrunk = Clock(), Metrics(), 0, 0
        self.watch = Watch(cap, self.metrics, self.shrink, self.clock, lambda: self.resident)

    def shrink(self):
        self.shrunk += 1


def test_over_the_soft_mark_the_batches_shrink_once_in_a_while():
    scene = Scene()
    scene.resident = 95 * MIB
    scene.watch.check()
    scene.watch.check()
    assert scene.shrunk == 1
    scene.clock.time += 6
    scene.watch.check()
    assert scene.shrunk == 2


def test_over_the_cap_the_watch_ends_the_process():
    scene = Scene()
    scene.resident = 101 * MIB
    with pytest.raises(MemoryCapExceeded, match="resident memory is 101 MiB, the cap is 100 MiB"):
        scene.watch.check()


def test_without_a_cap_nothing_is_watched():
    scene = Scene(cap=0)
    scene.resident = 10**12
    scene.watch.check()
    assert scene.shrunk == 0


def test_the_peak_is_at_least_what_is_resident():
    assert memory.peak() >= memory.resident() * 0.9 > 5 * MIB


def machine(root, membership, files):
    """A file system in which a process has this /proc/self/cgroup, and /sys/fs/cgroup these files."""
    contents = {"proc/self/cgroup": membership} | {f"sys/fs/cgroup/{name}": files[name] for name in files}
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


SERVICE = "system.slice/raner-stream.service"
V1, V1_NONE = "memory.limit_in_bytes", 2**63 - 4096


@pytest.mark.parametrize(("where", "membership", "files", "mib"), [
    ("a namespace", "0::/", {"memory.max": 300 * MIB}, 300),
    ("nowhere", "0::/", {"memory.max": "max"}, 0),
    ("beyond the machine", "0::/", {"memory.max": 2**62}, 0),
    ("a service", f"0::/{SERVICE}", {f"{SERVICE}/memory.max": 200 * MIB, "system.slice/memory.max": "max"}, 200),
    ("a tighter parent", f"0::/{SERVICE}", {f"{SERVICE}/memory.max": 200 * MIB, "system.slice/memory.max": MIB}, 1),
    ("a parent only", f"0::/{SERVICE}", {f"{SERVICE}/memory.max": "max", "system.slice/memory.max": 150 * MIB}, 150),
    ("a name with colons", "0::/a:b:c", {"a:b:c/memory.max": 200 * MIB}, 200),
    ("out of the namespace", "0::/../other", {"memory.max": 300 * MIB}, 300),
    ("v1", f"4:memory:/{SERVICE}\n0::/", {f"memory/{SERVICE}/{V1}": 200 * MIB, f"memory/{V1}": V1_NONE}, 200),
    ("v1, not another's", "5:cpu:/a\n4:memory:/b", {f"memory/a/{V1}": MIB, f"memory/b/{V1}": 200 * MIB}, 200),
    ("v1, the host's path", "4:memory:/docker/4f2a", {f"memory/{V1}": 250 * MIB}, 250),
    ("v1, nowhere", "4:memory:/", {f"memory/{V1}": V1_NONE}, 0),
])  # fmt: skip
def test_the_least_memory_limit_from_our_cgroup_up_is_read(tmp_path, where, membership, files, mib):
    assert cgroup_limit(machine(tmp_path, membership, files)) == mib * MIB


def v1_quota(quota, folder=""):
    return {f"cpu,cpuacct/{folder}cpu.cfs_quota_us": quota, f"cpu,cpuacct/{folder}cpu.cfs_period_us": 100000}


@pytest.mark.parametrize(("where", "membership", "files", "cores"), [
    ("a namespace", "0::/", {"cpu.max": "50000 100000"}, 1),
    ("nowhere", "0::/", {"cpu.max": "max 100000"}, None),
    ("no file", "0::/", {}, None),
    ("a service", f"0::/{SERVICE}", {f"{SERVICE}/cpu.max": "150000 100000"}, 1),
    ("a tighter parent", f"0::/{SERVICE}", {f"{SERVICE}/cpu.max": "90000000 100000", "system.slice/cpu.max": "1 1"}, 1),
    ("v1", f"5:cpu,cpuacct:/{SERVICE}\n9:cpuset:/", v1_quota(150000, f"{SERVICE}/") | v1_quota(-1), 1),
    ("v1, not another's", "9:cpuset:/a\n5:cpu,cpuacct:/b", v1_quota(50000, "a/"), None),
    ("v1, the host's path", "5:cpu,cpuacct:/docker/4f2a", v1_quota(50000), 1),
    ("v1, nowhere", "5:cpu,cpuacct:/", v1_quota(-1), None),
])  # fmt: skip
def test_threads_follow_the_least_cpu_quota_from_our_cgroup_up(tmp_path, where, membership, files, cores):
    unlimited = cpu_quota(tmp_path)
    root = machine(tmp_path, membership, {"cpu,cpuacct/tasks": ""} | files)
    (root / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")  # as systemd and Docker do
    assert cpu_quota(root) == (cores or unlimited) >= 1
