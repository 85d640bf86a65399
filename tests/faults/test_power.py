"""F4, F12 · Power that fails, and disks that do: every image and error that a real one could give, in small.

A library written in C (`disk.c`) is preloaded into a Python process and sees every write and sync of the store. It
lets the n-th fail; or it tapes them all, and the test makes images of the disk as a power failure at some moment could
have left them: what was synced is there, of the rest any 512-byte sectors, in any order.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from flowchain.store.store import Store
from tests.faults import test_disk
from tests.faults.workload import Log, answer, asked

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or COMPILER is None, reason="needs Linux and a C compiler"
)
Durability = Literal["process", "power"]
ROWS = 8
TAPED = """
import os, sys
from pathlib import Path
from flowchain.store import journal
from flowchain.store.store import Store
from tests.faults.workload import Engine, Log
folder = Path(os.environ["FLOWCHAIN_DISK"])
journal._CHECKPOINT_BYTES = 60_000                  # so that the log is folded in several times
store = Store(folder / "replies.flow", durability=sys.argv[1])
Engine(store, Log(folder / "log")).rows(int(sys.argv[2]), together=2)
os._exit(0)
"""
FAILING = """
import os, sys
from pathlib import Path
from tests.faults.test_disk import stop_at_an_error
from tests.faults.workload import Log, forked, status_of
for count in sys.argv[2:]:
    folder = Path(sys.argv[1]) / count
    folder.mkdir()
    os.environ.update(FLOWCHAIN_DISK=str(folder), FLOWCHAIN_FAIL_AT=count)
    assert status_of(forked(lambda: stop_at_an_error(folder / "replies.flow", Log(folder / "log")))) == 0, count
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def preloaded(disk: Path, script: str, arguments: Sequence[object], **environment: object) -> None:
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={"LD_PRELOAD": str(disk), "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"}
        | {name: str(value) for name, value in environment.items()},
        check=True,
    )


# ── an error at the n-th write or sync ───────────────────────────────────────────────────────────────────────────


def judge_failing(disk: Path, tmp_path: Path, counts: range, least: int) -> None:
    preloaded(disk, FAILING, [tmp_path, *counts])
    has_failed = []
    for count in counts:
        log = Log(tmp_path / str(count) / "log")
        has_failed.append(any(event == "E" for event, _, _ in log.events()))
        test_disk.judge(tmp_path / str(count) / "replies.flow", log)
    assert sum(has_failed) >= least
    assert has_failed == sorted(has_failed, reverse=True)  # none but those behind the last write


def test_an_error_at_some_writes_and_syncs(disk: Path, tmp_path: Path) -> None:
    judge_failing(disk, tmp_path, range(1, 160, 9), least=17)


@pytest.mark.slow
def test_an_error_at_every_write_and_sync(disk: Path, tmp_path: Path) -> None:
    judge_failing(disk, tmp_path, range(1, 500), least=400)


# ── images after a power failure ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class File:
    """A file on a disk: what is safe, and what was written since the last sync."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data), or (size, None) for a truncation."""

    def apply(self, at: int, data: bytes | None) -> None:
        if data is None:
            del self.safe[at:]
            return
        self.safe.extend(bytes(max(0, at + len(data) - len(self.safe))))
        self.safe[at : at + len(data)] = data

    def sync(self) -> None:
        for at, data in self.pending:
            self.apply(at, data)
        self.pending = []

    def crash(self, draw: random.Random) -> None:
        """Keep any sectors of what was not synced; sometimes nearly all, sometimes nearly none."""
        share = draw.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        for at, data in draw.sample(self.pending, len(self.pending)) if draw.random() < 0.3 else self.pending:
            if data is None:
                if draw.random() < share:
                    self.apply(at, None)
                continue
            for start in range(0, len(data), 512):
                if draw.random() < share:
                    self.apply(at + start, data[start : start + 512])


@dataclass(frozen=True)
class Tape:
    records: list[tuple[str, str, int, bytes | None]]
    """Operation, file, offset, data."""

    @staticmethod
    def read(path: Path) -> Tape:
        data, at, records = path.read_bytes(), 0, []
        while at < len(data):
            operation, offset, size, length = struct.unpack_from("<qqqq", data, at)
            at += 32
            name = data[at : at + length].decode()
            at += length
            content = None
            if chr(operation) in "WA":
                content = data[at : at + size]
                at += size
            records.append((chr(operation), name, offset, content))
        return Tape(records)

    def image(self, folder: Path, moment: int, draw: random.Random) -> tuple[list[str], list[str]]:
        """Lay the disk as it may look after a failure at this moment; give the calls made, and those acknowledged."""
        files: dict[str, File] = {}
        calls: list[str] = []
        acknowledged: list[str] = []
        for operation, name, at, data in self.records[:moment]:
            if name == "log":
                for event, _, key in (line.split(" ", 2) for line in (data or b"").decode().splitlines()):
                    if event in "SA":
                        (calls if event == "S" else acknowledged).append(key)
            elif operation == "U":
                files.pop(name, None)
            elif operation == "S":
                files.setdefault(name, File()).sync()
            else:
                files.setdefault(name, File()).pending.append((at, data))
        folder.mkdir()
        for name, file in files.items():
            file.crash(draw)
            (folder / name).write_bytes(file.safe)
        return calls, acknowledged


def judge_images(disk: Path, tmp_path: Path, durability: Durability, images: int) -> None:
    live = tmp_path / "live"
    live.mkdir()
    preloaded(disk, TAPED, [durability, ROWS], FLOWCHAIN_DISK=live, FLOWCHAIN_TAPE=tmp_path / "tape")
    tape = Tape.read(tmp_path / "tape")
    lost = 0
    for seed in range(images):
        draw = random.Random(seed)
        folder = tmp_path / "image"
        calls, acknowledged = tape.image(folder, draw.randrange(1, len(tape.records) + 1), draw)
        with Store(folder / "replies.flow") as store:
            recalled = store.recall([asked(key) for key in calls])
            verified = store.verify()
        assert verified.problems == (), seed
        there = [reply is not None for reply in recalled]
        assert all(reply in (None, answer(key)) for key, reply in zip(calls, recalled, strict=True)), seed
        # The first so many, and no gap.
        assert there == sorted(there, reverse=True), seed
        lost += sum(key in acknowledged and not known for key, known in zip(calls, there, strict=True))
        shutil.rmtree(folder)
    print(f"{durability=} images={images} records={len(tape.records)} acknowledged and lost={lost}")
    if durability == "power":
        assert lost == 0
    else:
        assert lost > 0, "images that lose nothing test nothing"


@pytest.mark.parametrize("durability", ["process", "power"])
def test_images_after_a_power_failure(disk: Path, tmp_path: Path, durability: Durability) -> None:
    judge_images(disk, tmp_path, durability, images=80)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
def test_many_images_after_a_power_failure(disk: Path, tmp_path: Path, durability: Durability) -> None:
    judge_images(disk, tmp_path, durability, images=500)
