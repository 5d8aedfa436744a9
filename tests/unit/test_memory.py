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


@pytest.mark.parametrize(("name", "content", "limit"), [
    ("memory.max", str(300 * MIB), 300 * MIB),
    ("memory.max", "max", 0),
    ("memory/memory.limit_in_bytes", str(200 * MIB), 200 * MIB),
    ("memory/memory.limit_in_bytes", str(2**63 - 4096), 0),
])  # fmt: skip
def test_the_cgroup_limit_is_read(tmp_path, name, content, limit):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content + "\n")
    assert cgroup_limit(tmp_path) == limit


def test_threads_follow_the_cpu_quota(tmp_path):
    unlimited = cpu_quota(tmp_path)
    assert unlimited >= 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(tmp_path) == unlimited
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cpu_quota(tmp_path) == 1
