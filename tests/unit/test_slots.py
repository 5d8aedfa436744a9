import socket
import subprocess
import sys

from consumer import slots

HOLD = "import time; from consumer import slots; s = slots.claim('{}'); print(s.name, flush=True); time.sleep(60)"


def holding(group):
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(group)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_two_workers_of_a_host_have_different_names_and_a_killed_one_leaves_its_own_to_the_next():
    group = "slots-killed"
    first, name = holding(group)
    try:
        other = slots.claim(group)
        assert (name, other.name) == tuple(f"{group}-{socket.gethostname()}-{n}" for n in (0, 1))
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    again = slots.claim(group)
    assert again.name == name
    again.free()
    other.free()


def test_groups_do_not_share_numbers():
    one, other = slots.claim("slots-a"), slots.claim("slots-b")
    assert one.name.endswith("-0")
    assert other.name.endswith("-0")
    one.free()
    other.free()
