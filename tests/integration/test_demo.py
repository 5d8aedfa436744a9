"""`raner-stream demo` as a person runs it."""

import json
import subprocess
import sys
import time

import psutil


def demo(*arguments, directory=None):
    command = [sys.executable, "-P", "-m", "consumer", "demo", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=180, check=False)


def test_the_demo_accounts_for_every_message():
    done = demo("--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["produced"] == summary["annotated"] + sum(summary["dead_letters"].values()) >= 300
    assert set(summary["entities"]) == {"PER", "LOC", "ORG"}
    assert set(summary["dead_letters"]) == {"not_utf8", "not_json", "no_text", "not_text", "too_long"}
    assert 0 < summary["latency_p50_seconds"] <= summary["latency_p99_seconds"]
    assert 0 < summary["peak_memory_mib"] <= 150
    assert set(summary) == {
        "produced", "annotated", "dead_letters", "entities", "messages_per_second", "characters_per_second",
        "latency_p50_seconds", "latency_p99_seconds", "peak_memory_mib", "first_message_seconds",
    }  # fmt: skip


def test_the_feed_can_be_cut_and_is_shown_in_plain_lines_without_a_terminal():
    done = demo("--messages", "45")
    assert done.returncode == 0, done.stderr
    assert "every message is accounted for" in done.stdout
    assert "\x1b" not in done.stdout
    assert "PER]" in done.stdout
    assert "dead letter not_utf8" in done.stdout


def test_it_runs_the_worker_that_is_installed_whatever_the_directory_holds(tmp_path):
    for name in ("consumer", "nlp", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('somebody else is meant')")
    done = demo("--messages", "20", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "every message is accounted for" in done.stdout


def test_a_model_that_is_none_ends_it_with_the_workers_own_words():
    done = demo("--model", "/nowhere")
    assert done.returncode == 1
    assert "holds no model.json" in done.stderr


def test_a_demo_that_is_terminated_leaves_no_process_behind():
    running = psutil.Popen([sys.executable, "-m", "consumer", "demo", "--format", "json"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(begun := running.children(recursive=True)) < 2 and time.monotonic() < deadline:  # a broker and a worker
        pass  # at once: a process that is just being started is the one that is forgotten
    running.terminate()
    assert running.wait(30) == 130
    gone, left = psutil.wait_procs(begun, timeout=5)
    assert (len(gone), left) == (2, [])
