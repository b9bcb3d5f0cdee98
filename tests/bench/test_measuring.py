"""What the bench measures with: machine, load, figures, the reference."""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading
import time
import typing as t

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from bench import load
from bench import machine
from bench import models
from bench import photos
from bench import plot
from bench import reference
from bench import report
from bench import resnet50
from bench.figures import difference
from bench.figures import Figure
from bench.figures import ratio
from bench.figures import Row
from flask_ailydian.inputs import preprocessing

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="the bench reads /proc: run it on Linux"
    ),
]
LIMITS = {"max_bytes": 10**7, "max_pixels": 10**8}


class Handler(socketserver.StreamRequestHandler):
    """Answers each request with the length of its body, and each third by hanging up."""

    def handle(self) -> None:
        server = t.cast(t.Any, self.server)
        while head := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            with server.lock:
                server.asked += 1
                mine = server.asked
            if server.hangs_up and mine % 3 == 0:
                return
            body = str(length).encode()
            if b"/chunked" in head:
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                )
            else:
                self.wfile.write(
                    b"HTTP/1.1 %d X\r\nX-Number: %d\r\nContent-Length: %d\r\n\r\n%b"
                    % (server.status, mine, len(body), body)
                )


class Loopback(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.asked, self.hangs_up, self.status = threading.Lock(), 0, False, 200


@pytest.fixture
def loopback() -> t.Iterator[Loopback]:
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def port(server: Loopback) -> int:
    return int(server.server_address[1])


def test_a_load_of_so_many_requests_asks_exactly_so_often(loopback: Loopback) -> None:
    wire = load.request("/", b"x" * 70_000)
    done = load.closed_loop(port(loopback), [wire], clients=4, count=50)
    assert (len(done.good), done.broken, loopback.asked) == (50, 0, 50)
    assert {a.body for a in done.good} == {b"70000"}
    assert sorted(int(a.headers["x-number"]) for a in done.answers) == list(range(1, 51))
    assert 0 < done.percentile(50) <= done.percentile(99) < 1000
    assert done.rate == pytest.approx(50 / done.wall)


def test_a_load_of_so_many_seconds_ends_and_counts_what_was_in_flight(loopback: Loopback) -> None:
    done = load.closed_loop(port(loopback), [load.request("/", b"")], clients=2, seconds=0.3)
    assert 0.3 <= done.wall < 5
    assert len(done.answers) == loopback.asked


def test_answers_that_are_not_good_are_told_apart(loopback: Loopback) -> None:
    loopback.status = 503
    done = load.closed_loop(port(loopback), [load.request("/", b"")], clients=2, count=6)
    assert (len(done.good), len(done.answers)) == (0, 6)


def test_a_connection_that_was_closed_while_idle_is_opened_anew(loopback: Loopback) -> None:
    loopback.hangs_up = True
    done = load.closed_loop(port(loopback), [load.request("/", b"")], clients=1, count=10)
    assert (len(done.good), done.broken) == (10, 0)


def test_a_server_that_is_not_there_is_counted_as_broken() -> None:
    with Loopback() as server:
        gone = port(server)
    done = load.closed_loop(gone, [load.request("/", b"")], clients=1, count=3)
    assert (len(done.answers), done.broken) == (0, 3)


def test_a_chunked_answer_is_read_to_its_end(loopback: Loopback) -> None:
    connection = load.Connection(port(loopback))
    answers = [connection.ask(load.request("/chunked", b"12345")) for _ in range(3)]
    connection.close()
    assert [b"5\r\n" in a.body for a in answers] == [True] * 3


def test_a_form_carries_the_photograph_whole(loopback: Loopback) -> None:
    wire = load.request("/", b"\xff\xd8photo", multipart=True)
    head, _, body = wire.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"\r\n\r\n\xff\xd8photo\r\n--photograph--" in body


BUSY = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\n"


def test_a_meter_tells_our_work_from_the_rest() -> None:
    with machine.Meter() as meter:
        subprocess.run([sys.executable, "-c", BUSY], check=True)
        time.sleep(0.2)
    assert meter.wall >= 0.5
    assert 0 <= meter.others <= 1
    # What our own child used must not be laid at the door of others.
    used = meter.others * meter.wall * machine.CORES
    assert used <= meter.wall * machine.CORES - 0.4 + 0.05


def test_processor_time_of_a_tree_counts_grandchildren_that_ended() -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\ninput()\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        until = time.monotonic() + 30
        while machine.cpu_seconds(child.pid) < 0.4 and time.monotonic() < until:
            time.sleep(0.05)
        used = machine.cpu_seconds(child.pid)
        child.communicate(b"\n")
    assert 0.4 <= used < 5


def test_memory_of_a_tree_is_what_it_holds() -> None:
    code = "data = bytearray(50_000_000)\ndata[::4096] = b'x' * len(data[::4096])\ninput()\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        until = time.monotonic() + 30
        while machine.memory_bytes(child.pid) < 50_000_000 and time.monotonic() < until:
            time.sleep(0.05)
        held = machine.memory_bytes(child.pid)
        child.communicate(b"\n")
    assert 50_000_000 <= held < 90_000_000


def figure(*values: float, others: float = 0.0) -> Figure:
    made = Figure("ms")
    for value in values:
        made.add(value, others)
    return made


def test_ratios_and_differences_are_taken_round_by_round() -> None:
    above, below = figure(2, 6, 100, others=0.2), figure(1, 2, 10, others=0.05)
    assert ratio(above, below).values == [2, 3, 10]
    assert ratio(above, below).median == 3
    assert difference(above, below).values == [1, 4, 90]
    assert ratio(above, below).noisy == 3 and below.noisy == 0


def test_a_row_is_met_by_its_median_alone() -> None:
    assert Row("l", "w", figure(1, 1, 9), ("<=", 1.0)).met
    assert not Row("l", "w", figure(1, 1.2, 1.2), ("<=", 1.1)).met
    assert Row("l", "w", figure(0.97), (">=", 0.97)).met
    assert not Row("l", "w", figure(2.3), ("<", 2.3)).met
    assert Row("l", "w", figure(1)).met is None


def test_the_table_marks_what_is_missed_and_what_is_noisy() -> None:
    rows = [Row("line", "what", figure(2, others=0.5), ("<=", 1.0)), Row("line", "told", figure(3))]
    text = report.table(rows, {"other": "there is none"})
    assert "<= 1" in text and "NO?" in text and "50.0%" in text and "1 of 1" in text
    assert "other: skipped, there is none" in text


def test_the_plot_is_whole_svg() -> None:
    import xml.etree.ElementTree as xml

    keys = [f"{what} {clients}" for what in ("rate", "cpu") for clients in (8, 32)]
    server = {key: figure(20) for key in keys}
    found = {"<ours>": server, "floor": {"threads rate": figure(22), "threads cpu_ms": figure(9)}}
    root = xml.fromstring(plot.draw(found))
    assert root.tag.endswith("svg") and "<ours>" in "".join(root.itertext())


def test_photographs_come_from_the_seed_alone_and_have_the_size_of_photographs() -> None:
    first, again = photos.make(2), photos.make(2)
    assert first == again and first[0] != first[1]
    for photo in first:
        assert 150_000 < len(photo) < 500_000


def test_the_reference_prepares_what_the_package_prepares() -> None:
    (photo,) = photos.make(1, seed=3)
    ours = preprocessing.load(photo, preprocessing.ImagePreprocessing(), **LIMITS)
    # One step of a pixel, at most, where a box is cut at another place.
    assert np.abs(reference.prepare(photo) - ours).max() < 1 / 255 / min(reference.STD) + 1e-6


@pytest.mark.parametrize("build", [models.small, resnet50.build, lambda: models.weighty(1)])
def test_models_of_the_bench_answer_with_probabilities_that_differ(
    build: t.Callable[[], bytes],
) -> None:
    session = onnxruntime.InferenceSession(build(), providers=["CPUExecutionProvider"])
    pictures = [Image.new("RGB", (300, 300), colour) for colour in ("red", "white")]
    rng = np.random.default_rng(0)
    answers = []
    for picture in pictures:
        pixels = np.asarray(picture.resize((224, 224)), np.float32).transpose(2, 0, 1) / 255
        answers.append(
            reference.run(
                session, (pixels + rng.normal(0, 1, pixels.shape))[None].astype(np.float32)
            )
        )
    for chances in answers:
        assert chances.sum() == pytest.approx(1, abs=1e-4) and np.isfinite(chances).all()
    assert np.abs(answers[0] - answers[1]).max() > 1e-6
    assert build() == build()
