"""How smoothly large photographs are zoomed and painted on, and what opening one costs.

``python -m tests.browser.frames`` takes a studio of its own, in a process of its own, and the real browser. It prints
the seconds until a JPEG of 12 megapixels is seen and until a click on it is answered, the milliseconds between frames
while one of 24 megapixels is zoomed by the wheel and painted on with the brush, and the memory of all processes. What
else runs on the machine makes all of these larger; processor time, which feels that less, is told beside the clock's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import cv2
import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import sync_playwright

from pipelines.contract import Extent
from pipelines.evaluation.pointing import PHOTOGRAPHS
from tests.browser.conftest import free_port
from tests.browser.desk import Desk, launched, sat_down

ROOT = Path(__file__).resolve().parents[2]
TWELVE, TWENTY_FOUR = Extent(4000, 3000), Extent(6000, 4000)
GRAIN = 6
"""Levels of noise, as a camera has it."""
START = """() => { const seen = window.seen = [];
  const note = (now) => { if (window.seen !== seen) return; seen.push(now); requestAnimationFrame(note); };
  requestAnimationFrame(note); }"""
STOP = "() => { const { seen } = window; window.seen = null; return seen; }"
SHOWN = """size => { const image = document.querySelector('.p-frame img');
  return image && image.complete && image.naturalWidth === size && palimpsest.state.view.width === size; }"""
TICK = 16
"""Milliseconds between two moves of the hand."""


def photograph(extent: Extent) -> Image.Image:
    """A photograph as large as that, with the grain that enlarging took away."""
    small = np.asarray(Image.open(PHOTOGRAPHS / "flower.jpg").convert("RGB"))
    large = cv2.resize(small, (extent.width, extent.height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    large += np.random.default_rng(0).integers(-GRAIN, GRAIN + 1, large.shape, dtype=np.int16)
    return Image.fromarray(large.clip(0, 255).astype(np.uint8))


@contextmanager
def studio(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address and the process of one that is warm."""
    port = free_port()
    command = [
        sys.executable,
        str(ROOT / "launch.py"),
        "serve",
        "--data",
        str(data),
        "--port",
        str(port),
        "--no-browser",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def spent(root: psutil.Process) -> float:
    """Processor seconds of a process and its children so far."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(root))


def memory(root: psutil.Process) -> float:
    """Megabytes of a process and its children; what several share is counted once."""
    return sum(process.memory_full_info().pss for process in tree(root)) / 2**20


def browser_process() -> psutil.Process:
    """Playwright's, which has the browser below it."""
    return next(child for child in psutil.Process().children() if any("chrom" in each.name() for each in tree(child)))


def timed(name: str, process: psutil.Process, act: Callable[[], object]) -> None:
    """Do it and print what it took."""
    browser = browser_process()
    studio_before, browser_before, began = spent(process), spent(browser), time.monotonic()
    act()
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{name}: {seconds:.2f} s; processor seconds of the studio {spent(process) - studio_before:.2f}, "
        f"of the browser {spent(browser) - browser_before:.2f}\n"
    )


def framed(name: str, desk: Desk, act: Callable[[], object]) -> None:
    """Do it and print the milliseconds from frame to frame."""
    browser = browser_process()
    desk.page.evaluate(START)
    before = spent(browser)
    act()
    taken, times = spent(browser) - before, desk.page.evaluate(STOP)
    apart = [after - before for before, after in pairwise(times)]
    worst = statistics.quantiles(apart, n=20)[-1]
    sys.stdout.write(
        f"{name}: {len(apart)} frames, median {statistics.median(apart):.1f} ms, 95 % within {worst:.1f} ms, longest "
        f"{max(apart):.1f} ms; {1000 * taken / len(apart):.1f} processor ms of the browser a frame\n"
    )


def opened(desk: Desk, path: Path, extent: Extent) -> None:
    """Open a file and wait until all of it is seen."""
    desk.page.locator(".p-start input[type=file]").set_input_files(path)
    desk.page.wait_for_function(SHOWN, arg=extent.width, timeout=120_000)


def zoomed(desk: Desk, times: int) -> None:
    """In and out again by the wheel, over the flower."""
    desk.page.mouse.move(*desk.on_screen(3000, 2000))
    for step in range(times):
        desk.page.mouse.wheel(0, -60 if step < times / 2 else 60)
        desk.page.wait_for_timeout(TICK)


def brushed(desk: Desk, times: int) -> None:
    """One stroke around the flower."""
    angles = np.linspace(0, 2 * np.pi, times)
    places = [desk.on_screen(3000 + 1200 * np.cos(a), 2000 + 1200 * np.sin(a)) for a in angles]
    desk.page.mouse.move(*places[0])
    desk.page.mouse.down()
    for place in places:
        desk.page.mouse.move(*place)
        desk.page.wait_for_timeout(TICK)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.frames", description=__doc__)
    parser.add_argument("--moves", type=int, default=120, help="of the wheel, and of the brush")
    moves = parser.parse_args().moves
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = {extent: Path(folder) / f"{extent.width}.jpg" for extent in (TWELVE, TWENTY_FOUR)}
        for extent, path in files.items():
            photograph(extent).save(path, quality=90)
            sys.stdout.write(f"{extent.width} x {extent.height}: a JPEG of {path.stat().st_size / 1e6:.1f} MB\n")
        with studio(Path(folder) / "data") as (url, process):
            wait_for(url)
            browser = launched(playwright)
            with sat_down(browser, url) as desk:
                desk.open_example("Coffee")
                desk.click(280, 210)  # by then what finds subjects is loaded
                desk.page.get_by_role("button", name="New").click()
                timed("12 megapixels until seen", process, lambda: opened(desk, files[TWELVE], TWELVE))
                timed("first click on it", process, lambda: desk.click(2000, 1500))
                timed("one more click", process, lambda: desk.click(1300, 1500))
                sys.stdout.write(f"memory with 12 megapixels: {told(process)}\n")
                desk.page.get_by_role("button", name="New").click()
                timed("24 megapixels until seen", process, lambda: opened(desk, files[TWENTY_FOUR], TWENTY_FOUR))
                desk.page.wait_for_timeout(1000)
                framed("nothing moves", desk, lambda: desk.page.wait_for_timeout(2000))
                framed("zoom by the wheel", desk, lambda: zoomed(desk, moves))
                desk.page.keyboard.press("0")
                desk.page.get_by_role("button", name="Brush", exact=True).click()
                framed("brush", desk, lambda: brushed(desk, moves))
                timed("until its mask is seen", process, lambda: (desk.page.mouse.up(), desk.wait_mask()))
                sys.stdout.write(f"memory with 24 megapixels: {told(process)}\n")
            browser.close()
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    sys.stdout.write(f"{cores} core{'s' * (cores > 1)} for all of it; {load:.1f} processes wanted one meanwhile\n")


def told(process: psutil.Process) -> str:
    """The memory of the studio, and of the browser."""
    return f"studio {memory(process):.0f} MB, browser {memory(browser_process()):.0f} MB"


def wait_for(url: str) -> None:
    """Until the studio answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            with urlopen(f"{url}/studio/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"no studio answers at {url} after two minutes; see what `launch.py serve` says")


if __name__ == "__main__":
    main()
