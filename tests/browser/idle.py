"""What a studio costs that nobody uses: ``python -m tests.browser.idle`` prints the share of one core that its process
takes with one page open, with Gradio's queue as it comes and as the studio sets it, and the ratio of both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from studio.app import build_studio
from studio.environment import own_surroundings
from studio.settings import Settings
from studio.ui.app import LOOKS_EVERY, NEVER_USED, open_page
from tests.browser.desk import launched, sat_down
from tests.studio.conftest import StandInEngine

AS_IT_COMES, SET = (0.001, 0.01), (LOOKS_EVERY, NEVER_USED)
"""Seconds between two looks for events, and for their progress."""
SETTLING = 5.0
"""Seconds after which a page that was opened has nothing left to do."""


def share(seconds: float) -> tuple[float, str]:
    """Share of one core that this process takes, and its three busiest threads."""
    here = psutil.Process()

    def taken() -> dict[int, float]:
        return {thread.id: thread.user_time + thread.system_time for thread in here.threads()}

    before, began = taken(), time.monotonic()
    time.sleep(seconds)
    passed, after = time.monotonic() - began, taken()
    spent = {id: after[id] - before.get(id, 0.0) for id in after}
    names = {id: Path(f"/proc/self/task/{id}/comm").read_text().strip() for id in after}
    busiest = sorted(spent, key=lambda id: spent[id], reverse=True)[:3]
    return sum(spent.values()) / passed, ", ".join(f"{names[id]} {spent[id] / passed:.2%}" for id in busiest)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    found = []
    with own_surroundings(), tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), port=0, warm_up=False)
        studio = build_studio(settings, StandInEngine())
        page = open_page(studio, settings)
        queue = page.page._queue
        with sync_playwright() as playwright:
            browser = launched(playwright)
            with sat_down(browser, page.url) as desk:
                desk.open_example("Duck on the beach")
                for words, looks in (("as Gradio has it", AS_IT_COMES), ("as the studio sets it", SET)):
                    queue.sleep_when_free, queue.progress_update_sleep_when_free = looks
                    time.sleep(SETTLING)
                    found.append(share(seconds))
                    sys.stdout.write(f"{words}: {found[-1][0]:.2%} of one core ({found[-1][1]})\n")
            browser.close()
        page.close()
        studio.close()
    sys.stdout.write(f"ratio: {found[0][0] / found[1][0]:.1f}\n")


if __name__ == "__main__":
    main()
