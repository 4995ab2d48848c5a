"""The device's process: what ends it, and that nothing else ends with it. The engine is one that crashes when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.contract import EditRequest, Picture, Scope
from pipelines.errors import DeviceFault, NotEnoughMemory, NumericalError
from pipelines.masks.prompts import MaskPrompts
from pipelines.params import SDEditParams
from studio.errors import Busy, DeviceLost
from studio.jobs.child import Hold
from studio.jobs.device import MOST_POINTING, DeviceProcess
from studio.jobs.job import JobState
from studio.jobs.runner import Runner
from studio.settings import Settings
from tests.studio.jobs.crashing import STEPS

CRASHING = "tests.studio.jobs.crashing:crashing"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def shared() -> Iterator[DeviceProcess]:
    """One device for many tests: each may end its process, and none finds it worse for that."""
    device = DeviceProcess(Settings(), CRASHING, rests=(0.0,))
    yield device
    device.close()


def picture() -> Picture:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def edit(device: DeviceProcess, how: str = "", progress: Any = lambda *_: None) -> Any:
    shown = picture()
    asked = EditRequest(
        picture=shown, mask=np.ones(shown.shape[:2], bool), subject=how, background="", scope=Scope.SUBJECT, seed=7
    )
    return device.edit("tiny", "sdedit", asked, SDEditParams(), progress)


def test_an_edit_comes_back_as_it_was_made_and_its_steps_are_told(shared: DeviceProcess) -> None:
    told: list[tuple[str, int, int]] = []
    shown: list[Picture] = []

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        told.append((stage, step, total))
        assert preview is not None
        shown.append(preview)

    result = edit(shared, progress=progress)
    assert told == [("guidance", step, STEPS) for step in range(1, STEPS + 1)]
    assert np.array_equal(result.candidates[0].picture, ~picture())
    assert all(np.array_equal(preview, picture()) for preview in shown)
    assert result.weights_before == str(shared.pid) != str(os.getpid())


def test_clicks_are_answered_while_an_edit_runs(shared: DeviceProcess) -> None:
    began, clicked = threading.Event(), threading.Event()

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        began.set()
        if step == STEPS:
            clicked.wait(10)

    running = threading.Thread(target=edit, args=(shared, "steady", progress))
    running.start()
    assert began.wait(10)
    assert shared.segment(picture(), MaskPrompts(), "").mask.all()
    assert running.is_alive()
    clicked.set()
    running.join(10)


def test_a_picture_that_is_clicked_again_travels_once_and_is_never_another_one(
    shared: DeviceProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shared)
    assert shared._child is not None
    sent: list[object] = []
    send = shared._child._connection.send
    monkeypatch.setattr(shared._child._connection, "send", lambda message: (sent.append(message), send(message)))
    pictures = [np.random.default_rng(k).integers(0, 256, (24, 32, 3), dtype=np.uint8) for k in range(6)]
    monkeypatch.setattr(shared._child, "_room", 4 * pictures[0].nbytes)
    for number in (*range(6), *range(6), 5, 5, 5):
        found = shared.segment(pictures[number], MaskPrompts(), "threshold").mask
        assert np.array_equal(found, pictures[number][..., 0] > 127)
    assert sum(isinstance(message, Hold) for message in sent) == 2 * 6
    assert sum(held.nbytes for _, held in shared._child._held) <= 4 * pictures[0].nbytes
    huge = np.zeros((64, 64, 3), np.uint8)
    assert shared.segment(huge, MaskPrompts(), "threshold").mask.shape == (64, 64), (
        "one alone is held whatever its size"
    )
    assert len(shared._child._held) == 1


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", r"ended by itself \(exit code 3\)"),
        ("abort", r"crashed \(SIGABRT\)"),
        ("segfault", r"crashed \(SIGSEGV\)"),
        ("kill", "killed from outside, as a system does that runs out of memory"),
    ],
)
def test_e04_when_the_process_dies_the_edit_fails_and_the_next_one_works(
    shared: DeviceProcess, how: str, told: str
) -> None:
    first = edit(shared).weights_before

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if how == "kill" and step == 2 and shared.pid is not None:
            os.kill(shared.pid, signal.SIGKILL)

    with pytest.raises(DeviceLost, match=f"{told} .* Nothing that was kept is lost.* try once more"):
        edit(shared, "steady" if how == "kill" else how, progress)
    assert edit(shared).weights_before != first


def test_what_else_waits_for_a_process_that_dies_is_told_as_well(shared: DeviceProcess) -> None:
    began = threading.Event()
    told: list[str] = []

    def running() -> None:
        try:
            edit(shared, "hang", lambda *_: began.set())
        except DeviceLost as error:
            told.append(str(error))

    waiting = threading.Thread(target=running)
    waiting.start()
    assert began.wait(20)
    with pytest.raises(DeviceLost, match="exit code 3"):
        shared.segment(picture(), MaskPrompts(), "exit")
    waiting.join(20)
    assert "exit code 3" in told[0]
    assert edit(shared).candidates


@pytest.mark.parametrize(
    ("how", "kind", "told"),
    [("nan", NumericalError, "the loss became NaN"), ("memory", NotEnoughMemory, "there was not enough memory")],
)
def test_an_error_a_person_can_act_on_arrives_as_it_is_and_the_process_stays(
    shared: DeviceProcess, how: str, kind: type[Exception], told: str
) -> None:
    pid = edit(shared).weights_before
    with pytest.raises(kind, match=f"^{told}$"):
        edit(shared, how)
    assert edit(shared).weights_before == pid


@pytest.mark.parametrize(
    ("how", "told"),
    [("bug", "ValueError: a bug of ours"), ("system exit", "SystemExit: 4"), ("unsendable", "made here")],
)
def test_a_bug_arrives_with_its_traceback_and_the_process_stays(shared: DeviceProcess, how: str, told: str) -> None:
    pid = edit(shared).weights_before
    with pytest.raises(RuntimeError, match=told) as caught:
        edit(shared, how)
    (note,) = caught.value.__notes__
    assert "crashing.py" in note and "Traceback" in note
    assert edit(shared).weights_before == pid


def test_an_answer_that_cannot_be_sent_is_a_bug_and_no_end(shared: DeviceProcess) -> None:
    pid = edit(shared).weights_before
    with pytest.raises(RuntimeError, match="lambda"):
        shared.segment(picture(), MaskPrompts(), "lambda")
    assert edit(shared).weights_before == pid


def test_e03_after_a_fault_of_the_device_the_process_is_replaced_before_the_next_call(shared: DeviceProcess) -> None:
    for _ in range(3):
        pid = edit(shared).weights_before
        with pytest.raises(DeviceFault, match="an illegal memory access"):
            edit(shared, "fault")
        assert shared.pid != int(pid)
        assert edit(shared).weights_before != pid
        assert not psutil.pid_exists(int(pid))


@pytest.mark.parametrize("at", [1, 2, STEPS])
def test_what_progress_raises_stops_the_edit_over_there_and_comes_out_here(shared: DeviceProcess, at: int) -> None:
    class Enough(Exception):
        pass

    told: list[int] = []

    def progress(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        told.append(step)
        if step == at:
            raise Enough

    pid = edit(shared).weights_before
    with pytest.raises(Enough):
        edit(shared, "steady", progress)
    assert told == list(range(1, at + 1)), "nothing is told after it was stopped"
    assert edit(shared).weights_before == pid


def test_a_function_named_as_text_runs_over_there_too(shared: DeviceProcess) -> None:
    told: list[str] = []
    answer = shared.run("tests.studio.jobs.crashing:twice", 21, progress=lambda stage, *_: told.append(stage))
    assert (answer, told) == (42, ["doubling"])


def test_the_description_is_that_of_the_last_answer_and_stands_while_there_is_no_process() -> None:
    device = DeviceProcess(Settings(), CRASHING)
    assert not device.is_built and device.pid is None
    assert device.describe() == "" and device.pid is None, "nothing is started to ask it"
    edit(device)
    described = device.describe()
    assert device.is_built and described == f"Crashing in {device.pid}"
    device.close()
    assert not device.is_built and device.describe() == described
    with pytest.raises(DeviceLost, match="shutting down"):
        edit(device)


def test_processes_that_die_one_after_another_are_given_a_rest() -> None:
    restarts: list[float] = []
    device = DeviceProcess(Settings(), CRASHING, restarted=lambda: restarts.append(time.monotonic()), rests=(0.0, 0.6))
    try:
        for _ in range(2):
            with pytest.raises(DeviceLost, match="exit code 3"):
                device.warm_up("exit")
        with pytest.raises(DeviceLost, match="ended 2 times in a row, so it is started again only in"):
            edit(device)
        assert len(restarts) == 1, "only after the first loss was it to be started at once"
        time.sleep(0.7)
        assert edit(device).candidates
        with pytest.raises(DeviceLost, match="exit code 3"):
            device.warm_up("exit")
        assert edit(device).candidates, "an answer in between ends the row"
    finally:
        device.close()


def test_an_engine_that_cannot_be_built_is_a_message_not_a_hang() -> None:
    device = DeviceProcess(Settings(), "tests.studio.jobs.crashing:broken")
    try:
        with pytest.raises(DeviceLost, match="exit code 1"):
            edit(device)
    finally:
        device.close()


def test_an_idle_process_that_is_killed_is_missed_by_nobody(
    shared: DeviceProcess, wait_until: Callable[..., None]
) -> None:
    pid = int(edit(shared).weights_before)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: shared.pid is None)
    assert edit(shared).candidates


# ------------------------------------------------------------------------------------------------ a process that stalls


@pytest.fixture
def stalling() -> Iterator[DeviceProcess]:
    """A device that may be silent for two seconds, and has answered."""
    device = DeviceProcess(Settings(), CRASHING, rests=(0.0,), silence=2.0)
    edit(device)
    yield device
    device.close()


def stopped(device: DeviceProcess) -> int:
    """Its process, which is stopped now: it exists, its connection is open, and it does nothing any more."""
    pid = device.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_an_idle_process_that_stalls_is_replaced(stalling: DeviceProcess, wait_until: Callable[..., None]) -> None:
    pid = stopped(stalling)
    wait_until(lambda: stalling.pid != pid, 20)
    assert edit(stalling).weights_before != str(pid)
    assert not psutil.pid_exists(pid)


def test_what_waits_for_a_process_that_stalls_is_told_and_describing_it_waits_for_nothing(
    stalling: DeviceProcess,
) -> None:
    told: list[str] = []

    def waits(ask: Callable[[], object]) -> None:
        with pytest.raises(DeviceLost, match="no sign of life for 2 s") as caught:
            ask()
        told.append(str(caught.value))

    began = threading.Event()
    big = np.zeros((3000, 4000, 3), np.uint8)  # more than its connection takes in before somebody reads
    asked: list[Callable[[], object]] = [
        lambda: edit(stalling, "hang", lambda *_: began.set()),
        lambda: stalling.segment(picture(), MaskPrompts(), ""),
        lambda: stalling.weights("tiny"),
        lambda: stalling.segment(big, MaskPrompts(), ""),
    ]
    threads = [threading.Thread(target=waits, args=(ask,)) for ask in asked]
    threads[0].start()
    assert began.wait(10)
    pid, begun = stopped(stalling), time.monotonic()
    for thread in threads[1:]:
        thread.start()
    assert stalling.describe() == f"Crashing in {pid}" and stalling.is_built
    assert time.monotonic() - begun < 5
    for thread in threads:
        thread.join(20)
    assert len(told) == len(asked)
    assert edit(stalling).candidates


def test_a_process_that_computes_without_a_pause_is_no_stalled_one(stalling: DeviceProcess) -> None:
    assert edit(stalling, "busy").weights_before == str(stalling.pid)


def test_a_stalled_process_keeps_only_so_many_pages_waiting(stalling: DeviceProcess) -> None:
    stopped(stalling)
    ends: list[type[Exception]] = []

    def point() -> None:
        with pytest.raises((DeviceLost, Busy)) as caught:
            stalling.segment(picture(), MaskPrompts(), "")
        ends.append(caught.type)

    threads = [threading.Thread(target=point) for _ in range(MOST_POINTING + 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ends == [Busy] * 5 + [DeviceLost] * MOST_POINTING, "those too many are told at once"


def test_a_mask_that_never_comes_is_given_up_and_the_process_stays_while_others_wait_for_it() -> None:
    device = DeviceProcess(Settings(), CRASHING, rests=(0.0,), to_point=1.0)
    try:
        pid = edit(device).weights_before
        began = threading.Event()
        threading.Thread(target=edit, args=(device, "busy", lambda *_: began.set())).start()
        assert began.wait(10)
        with pytest.raises(DeviceLost, match="segment was not answered in 1 s"):
            device.segment(picture(), MaskPrompts(), "hang")
        assert edit(device).weights_before == pid
        with pytest.raises(DeviceLost, match="segment was not answered in 1 s"):
            device.segment(picture(), MaskPrompts(), "hang")
        assert edit(device).weights_before != pid
    finally:
        device.close()


# ------------------------------------------------------------------------------------------ the queue in front of it


class Queue:
    """A runner before a device, and what became of its jobs."""

    def __init__(self, device: DeviceProcess, **patience: float) -> None:
        self.device = device
        self.runner = Runner(replace_device=device.replace, **patience)
        self.began = threading.Event()

    def submit(self, how: str = "") -> str:
        self.began.clear()

        def work(progress: Any) -> str:
            def followed(*step: Any) -> None:
                progress(*step)
                self.began.set()

            return str(edit(self.device, how, followed).weights_before)

        return self.runner.submit("session", "edit", ("guidance",), work, lambda _: None).id

    def ends(self, id: str, seconds: float = 20.0) -> tuple[JobState, str | None]:
        end = time.monotonic() + seconds
        while (job := self.runner.job(id)) is not None and not job.finished:
            assert time.monotonic() < end, f"still {job.state}"
            time.sleep(0.005)
        assert job is not None
        return job.state, job.error


@pytest.mark.parametrize("how", ["abort", "fault"])
def test_e04_the_queue_goes_on_after_the_process_died(shared: DeviceProcess, how: str) -> None:
    queue = Queue(shared)
    failed, following, last = queue.submit(how), queue.submit(), queue.submit()
    state, error = queue.ends(failed)
    assert state is JobState.FAILED and error is not None and "code" not in error, "told, not logged as a bug of ours"
    assert queue.ends(following)[0] is queue.ends(last)[0] is JobState.DONE
    queue.runner.close()


def test_f07_a_job_that_makes_no_step_is_ended_and_the_next_one_runs(shared: DeviceProcess) -> None:
    edit(shared)
    queue = Queue(shared, to_step=1.0)
    state, error = queue.ends(queue.submit("hang"))
    assert state is JobState.FAILED and error is not None and "made no step for 1 s" in error
    queue.runner.close()
    assert edit(shared).candidates


def test_the_queue_goes_on_after_its_process_stalled(stalling: DeviceProcess) -> None:
    queue = Queue(stalling)
    stuck, following = queue.submit("hang"), queue.submit()
    assert queue.began.wait(10)
    stopped(stalling)
    state, error = queue.ends(stuck)
    assert state is JobState.FAILED and error is not None and "no sign of life" in error and "try once more" in error
    assert queue.ends(following)[0] is JobState.DONE
    queue.runner.close()


def test_f07_a_cancelled_job_that_does_not_stop_is_ended_and_the_next_one_runs(shared: DeviceProcess) -> None:
    pid = int(edit(shared).weights_before)
    queue = Queue(shared, to_stop=0.5)
    stuck, following = queue.submit("hang"), queue.submit()
    assert queue.began.wait(10)
    queue.runner.cancel(stuck)
    assert queue.ends(stuck, 0.1) == (JobState.CANCELLED, None), "to the person it is over at once"
    assert queue.ends(following)[0] is JobState.DONE
    assert not psutil.pid_exists(pid)
    queue.runner.close()


def test_a_cancelled_job_that_stops_keeps_its_process(shared: DeviceProcess) -> None:
    pid = edit(shared).weights_before
    queue = Queue(shared, to_stop=5.0)
    cancelled, following = queue.submit("steady"), queue.submit()
    assert queue.began.wait(10)
    queue.runner.cancel(cancelled)
    assert queue.ends(following)[0] is JobState.DONE
    assert edit(shared).weights_before == pid
    queue.runner.close()


# --------------------------------------------------------------------------------------------- the ends of the studio

PARENT = """
import threading, time
from studio.jobs.device import DeviceProcess
from studio.settings import Settings
from tests.studio.jobs.test_device import edit

if __name__ == "__main__":
    device = DeviceProcess(Settings(), "tests.studio.jobs.crashing:crashing")
    began = threading.Event()
    threading.Thread(target=lambda: edit(device, "hang", lambda *_: began.set()), daemon=True).start()
    began.wait()
    print(device.pid, flush=True)
    {ending}
"""


@pytest.mark.parametrize(("ending", "wait"), [("time.sleep(600)", False), ("", True), ("raise SystemExit(3)", True)])
def test_no_process_outlives_its_studio(
    tmp_path: Path, ending: str, wait: bool, wait_until: Callable[..., None]
) -> None:
    """Killed without a word, or ended without having closed anything."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(ending=ending))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        device = int(parent.stdout.readline())
        if wait:
            parent.wait(20)
        else:
            assert psutil.pid_exists(device)
            parent.kill()
        wait_until(lambda: not psutil.pid_exists(device) or psutil.Process(device).status() == psutil.STATUS_ZOMBIE)


STOPPED = """
import os, sys
from studio.jobs.device import DeviceProcess
from studio.settings import Settings
from tests.studio.jobs.test_device import edit

if __name__ == "__main__":
    device = DeviceProcess(Settings(), "tests.studio.jobs.crashing:crashing", silence=2.0)
    edit(device)
    print(device.pid, flush=True)
    sys.stdin.readline()
    print(edit(device).weights_before, flush=True)
    device.close()
"""


def test_a_studio_that_was_stopped_together_with_its_process_keeps_it(tmp_path: Path) -> None:
    """As Ctrl-Z does, and a machine that sleeps."""
    script = tmp_path / "parent.py"
    script.write_text(STOPPED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command, pipe = [sys.executable, str(script)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as parent:
        assert parent.stdout is not None
        device = int(parent.stdout.readline())
        both = (parent.pid, device)
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        told, _ = parent.communicate("on\n", 20)
        assert int(told) == device
