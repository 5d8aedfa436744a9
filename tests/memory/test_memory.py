"""Hard bounds that are promises: peak resident memory, of processes of their own."""

import json
import os
import subprocess
import sys

import pytest
from topics import produce, read
from worker_process import wait_for, worker_process

WORKER_MIB = 120  # with two threads
MIB = 1024**2


def peak_of(code, *arguments):
    """Return the peak resident memory in MiB of a program that ends by printing it."""
    program = f"{code}\nfrom consumer.memory import peak\nprint(peak())"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return int(done.stdout.split()[-1]) / MIB


ANNOTATE = """
import sys
from consumer.cli import main
try:
    main(["annotate", sys.argv[1]])
except SystemExit as ended:
    assert not ended.code
"""


def test_a_text_of_half_a_megabyte_takes_hardly_more_than_a_short_one(tmp_path):
    def peak(times):
        file = tmp_path / f"{times}.txt"
        file.write_text("今天王小明在北京大学读书，后来去了上海，大家都说可以出去走一走。" * times, encoding="utf-8")
        return peak_of(ANNOTATE, str(file))

    # 160,000 characters, whose 15,000 spans take 3.5 MiB: 5 to 7 more, 10 with bad luck; with emissions kept 24.
    assert peak(5_000) < peak(32) + 12


REPEATED = """
import nlp
annotator = nlp.load()
for text in ("北京" * 10_000, "A" * 20_000, "王小明，" * 2_000):
    annotator.annotate([text])
"""


def test_repeated_text_that_reads_as_one_endless_name_is_no_trap():
    assert peak_of(REPEATED) < 110


MANY_TAGS = """
import sys
import numpy as np
from nlp.crf import Crf
from nlp.decoder import Decoder, Piece
from nlp.labels import Scheme
from nlp.synth import bioes
tags = bioes([f"T{i}" for i in range(54)])
n = len(tags)
decoder = Decoder(Crf.of(np.zeros(n), np.zeros(n), np.zeros((n, n)), Scheme.of(tags)))
emissions = np.zeros((int(sys.argv[1]), 40, n), np.float32)
emissions[:, :, 0] = 20
emissions[:, ::4, tags.index("S-T0")] = 40
pieces = [Piece(decoder.begin(), text, last=True) for text in emissions]
decoder.advance(pieces)
assert all(piece.decoding.spans for piece in pieces)
"""


def test_decoding_many_texts_at_once_takes_little_more_than_one_even_with_many_tags():
    # 2,560 tokens of 217 tags, 640 spans: 20 more, of which 4 for every array of their emissions; without blocks 150.
    assert peak_of(MANY_TAGS, "64") < peak_of(MANY_TAGS, "1") + 40


RELEASED = """
import re
from pathlib import Path
from consumer import memory
if {silent}:
    told = Path.read_text
    Path.read_text = lambda path, **how: re.sub("Anonymous: .*", "Anonymous: 0 kB", told(path, **how))
def of_files():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssFile"))
before = of_files()
memory.release_files()
after = of_files()
import numpy  # what was let go comes back, and another library is relocated
numpy.linalg.svd(numpy.eye(9))
memory.release_files()
numpy.linalg.svd(numpy.eye(9))
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells which pages are copies")
@pytest.mark.parametrize("silent", [False, True])
def test_a_process_lets_go_of_files_that_it_only_read_unless_nothing_is_told_of_copies(silent):
    program = RELEASED.format(silent=silent)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after >= before if silent else after < before / 2


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_worker_stays_under_its_bound_whatever_it_is_sent(broker, tmp_path):
    settings = broker.settings(threads="2")
    big = "今天的天气比昨天好，王小明说可以出去走一走。" * 5_000
    values = [json.dumps({"text": "王小明在北京大学读书，后来去了上海。" * 5}) for _ in range(400)]
    values += [json.dumps({"text": big}, ensure_ascii=False), json.dumps({"text": "北京" * 20_000}), "x" * 900_000]
    produce(broker.bootstrap_servers, settings["input_topic"], [{"value": value} for value in values])
    with worker_process(tmp_path, **settings) as worker:
        topics = [settings["output_topic"], settings["dead_letter_topic"]]
        read(broker.bootstrap_servers, topics, len(values))
        wait_for(lambda: worker.metric("raner_resident_memory_peak_bytes") > 0, "the figure", worker)
        peak = worker.metric("raner_resident_memory_peak_bytes") / MIB
        assert worker.stop() == 0
    assert peak < WORKER_MIB


def test_under_a_cap_it_runs_and_stays_below(embedded, tmp_path):
    settings = embedded.settings(memory_cap="130MiB", threads="2")
    values = [{"value": json.dumps({"text": "王小明在北京大学读书，后来去了上海。" * 5})} for _ in range(300)]
    produce(embedded.bootstrap_servers, settings["input_topic"], values)
    with worker_process(tmp_path, **settings) as worker:
        read(embedded.bootstrap_servers, [settings["output_topic"]], 300)
        assert worker.metric("raner_memory_limit_bytes") == 130 * MIB
        assert worker.metric("raner_resident_memory_peak_bytes") <= 130 * MIB
        assert worker.stop() == 0
