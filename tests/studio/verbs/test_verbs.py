"""The verbs for programs: the tour, what they refuse, two programs in one session, and the document's example."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import studio as package
from pipelines.catalog import CATALOG
from pipelines.contract import Scope
from pipelines.errors import BadParameter, BadPicture, BadRequest, UnknownMethod
from pipelines.pictures import decode
from studio.app import Studio
from studio.errors import Busy, NotReady, TurnFailed, UnknownJob, UnknownMask, UnknownSession, UnknownTurn, WrongTurns
from studio.exports.kinds import ExportKind
from studio.jobs.job import JobState
from studio.store.archive.session_file import read_archive
from studio.verbs.session import OpenSession
from studio.verbs.studio import OpenStudio
from tests.studio.conftest import StandInEngine

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def verbs(studio: Studio) -> OpenStudio:
    return OpenStudio(studio)


@pytest.fixture
def session(verbs: OpenStudio, upload: bytes) -> OpenSession:
    return verbs.open(upload, "stripes.png")


def two_turns(session: OpenSession) -> tuple[str, str]:
    session.mask([(20, 10)])
    session.turn("a blue dog", quality="draft").done()
    first = session.keep().id
    session.turn(background="in a forest", quality="draft").done()
    return first, session.keep().id


def test_the_tour(session: OpenSession, studio: Studio) -> None:
    mask = session.mask([(20, 10), (30, 20, False)], grow=1)
    assert mask.mask and 0 < mask.area < 1
    job = session.turn("a blue dog", "in a forest", quality="draft", candidates=2, seed=5)
    told = list(job.events())
    assert told[-1].state is JobState.DONE and {view.id for view in told} == {job.id}
    assert [candidate.seed for candidate in session.candidates] == [5, 6]
    shown = session.candidate(1)
    kept = session.keep(1)
    assert kept.number == 1 and (session.picture() == shown).all() and kept.scope is Scope.BOTH
    session.turn(background="at night", quality="draft").done()
    second = session.keep()
    assert session.view().turns[-1].scope is Scope.BACKGROUND
    assert session.go("undo").current == kept.id and session.go("redo").current == second.id
    assert session.go(0).current == session.turn_id("original") == session.go("original").current
    view = session.branch("other", kept.id)
    assert view.branch == "other" and view.current == kept.id
    session.go(second.id)
    session.swap(kept.id, second.id).done()
    assert session.view().swap is not None
    assert session.adopt().branch not in ("main", "other")
    assert [summary.sid for summary in OpenStudio(studio).sessions()] == [session.sid]


def test_two_turns_are_compared_inside_and_outside_the_later_ones_mask(session: OpenSession) -> None:
    first, second = two_turns(session)
    numbers = session.compare(0, first).numbers
    a, b = session.picture(0), session.picture(first)
    assert numbers.whole.changed == np.count_nonzero((a != b).any(-1))
    assert numbers.inside.changed + numbers.outside.changed == numbers.whole.changed
    assert numbers.inside.share + numbers.outside.share == pytest.approx(1)
    assert numbers.whole.ssim is not None and numbers.whole.ssim < 1
    same = session.compare(second, second).numbers
    assert same.whole.changed == 0 and same.inside.ssim == pytest.approx(1)
    assert session.compared_picture(0, first).shape == (32, 48 * 2 + 4, 3)
    assert session.compared_picture(second, second, difference=True).max() == 0


def test_every_kind_of_file_comes_out(session: OpenSession, studio: Studio) -> None:
    first, _ = two_turns(session)
    begins = {"png": b"\x89PNG", "jpeg": b"\xff\xd8", "webp": b"RIFF", "ora": b"PK", "psd": b"8BPS", "gif": b"GIF8"}
    begins |= {"webp-animation": b"RIFF", "palimpsest": b"PK", "avif": b"\0\0\0", "tiff": b"II*\0"}
    assert set(begins) == set(ExportKind)
    for kind, head in begins.items():
        assert session.export(kind, first).startswith(head), kind
    assert (decode(session.export("png", first)).picture == session.picture(first)).all()
    half = decode(session.export("tiff", first, size="50%", bits=16)).picture
    assert half.shape == (16, 24, 3)
    record = read_archive(io.BytesIO(session.export("palimpsest")), studio.pictures)
    assert len(record.tree.turns) == 3


def test_a_session_file_opens_as_a_session(verbs: OpenStudio, session: OpenSession) -> None:
    two_turns(session)
    again = verbs.open(session.export("palimpsest"))
    assert again.sid != session.sid and len(again.view().turns) == 3


def test_masks_are_kept_by_name_and_go_with_the_session(verbs: OpenStudio, session: OpenSession) -> None:
    white = np.zeros((32, 48, 3), np.uint8)
    white[:, :24] = 255
    session.mask(picture=white)
    kept = session.save_mask(" left  half ")
    assert (kept.name, kept.area, kept.turn) == ("left half", 0.5, session.view().current)
    session.mask(picture=255 - white)
    assert session.use_mask("left half", "add").area == 1
    assert session.use_mask("left half", "erase").area == pytest.approx(0.5)
    assert session.use_mask("left half").mask == kept.mask
    again = verbs.open(session.export("palimpsest"))
    assert again.masks == session.masks == (kept,)
    assert again.use_mask("left half").area == 0.5
    again.forget_mask("left half")
    assert again.masks == () and session.masks == (kept,)
    with pytest.raises(UnknownMask, match="there are: left half"):
        session.use_mask("the right half")
    with pytest.raises(NotReady, match="how must be one of replace, add, erase, keep; got 'xor'"):
        session.use_mask("left half", "xor")


def test_a_mask_comes_as_a_picture_and_goes(session: OpenSession) -> None:
    white = np.zeros((32, 48, 3), np.uint8)
    white[:, :24] = 255
    assert session.mask(picture=white).area == pytest.approx(0.5)
    assert session.mask(picture=white, invert=True, grow=2).area == pytest.approx(26 / 48)
    found = session.mask_pixels()
    assert found is not None and found.shape == (32, 48)
    assert session.mask().mask is None and session.mask_pixels() is None


def test_references_are_followed_for_one_turn(session: OpenSession, upload: bytes, engine: StandInEngine) -> None:
    session.mask([(20, 10)])
    session.turn(background_picture=upload, subject="a dog", quality="draft").done()
    assert engine.requests[-1].background_reference is not None and engine.requests[-1].scope is Scope.BOTH
    session.turn("a cat", quality="draft").done()
    assert engine.requests[-1].background_reference is None and engine.requests[-1].subject == "a cat"


def test_what_cannot_be_done_is_refused_in_words(verbs: OpenStudio, session: OpenSession) -> None:
    with pytest.raises(NotReady, match="nothing was asked for"):
        session.turn()
    with pytest.raises(NotReady, match="click the subject"):
        session.turn("a dog")
    session.mask([(20, 10)])
    with pytest.raises(BadParameter, match="steps must be between"):
        session.turn("a dog", settings={"steps": 0})
    with pytest.raises(NotReady, match=r"the quality must be one of .* got 'best'"):
        session.turn("a dog", quality="best")
    with pytest.raises(UnknownMethod):
        session.turn("a dog", method="magic")
    with pytest.raises(BadRequest, match="between 0 and 48"):
        session.mask([(480, 10)])
    with pytest.raises(BadPicture, match=r"no-such\.png cannot be read"):
        verbs.open("some/folder/no-such.png")
    with pytest.raises(UnknownTurn, match=r"0 \(the original\) to 0; got 7"):
        session.go(7)
    with pytest.raises(UnknownTurn):
        session.go("f" * 64)
    with pytest.raises(WrongTurns):
        session.swap(0, 0)
    with pytest.raises(NotReady, match="finished candidates"):
        session.candidate(0)
    with pytest.raises(UnknownSession):
        verbs.session("0" * 32)
    with pytest.raises(UnknownJob):
        verbs.job("job-0")
    with pytest.raises(NotReady, match="kind of file"):
        session.export("bmp")


def test_a_job_is_stopped_and_one_that_failed_says_why(
    session: OpenSession, engine: StandInEngine, verbs: OpenStudio
) -> None:
    session.mask([(20, 10)])
    engine.hold_at = ("guidance", 1)
    job = session.turn("a dog", quality="draft")
    assert engine.reached.wait(10)
    assert job.wait(0.05).state is JobState.RUNNING
    with pytest.raises(Busy):
        session.turn("a cat", quality="draft")
    assert verbs.job(job.id).cancel().state is JobState.CANCELLED
    with pytest.raises(TurnFailed, match="cancelled"):
        job.done()
    engine.hold_at, engine.raises = None, BadRequest("the mask is empty; point at the subject")
    with pytest.raises(TurnFailed, match="the mask is empty"):
        session.turn("a cat", quality="draft").done()
    with pytest.raises(UnknownJob):
        job.view()  # its session has begun another one


def test_of_two_programs_each_runs_what_it_said(session: OpenSession, verbs: OpenStudio, engine: StandInEngine) -> None:
    """Texts and Run are one step: no turn is made of one program's subject and another's background."""
    session.mask([(20, 10)])
    said = [(f"a dog {n}", f"in a forest {n}") for n in range(8)]
    refused: list[Exception] = []

    def run(subject: str, background: str) -> None:
        other = verbs.session(session.sid)
        while True:
            try:
                other.turn(subject, background, quality="draft").wait(10)
                return
            except Busy as busy:
                refused.append(busy)

    threads = [threading.Thread(target=run, args=pair) for pair in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted((r.subject, r.background) for r in engine.requests) == sorted(said)


def test_a_page_is_told_that_a_program_changed_the_session(session: OpenSession, studio: Studio) -> None:
    own = studio.sessions.get(session.sid)
    own.tabs.shown("page", own.view())
    assert not own.tabs.is_behind("page")
    session.mask([(20, 10)])
    assert own.tabs.is_behind("page") and own.tabs.others("page") == 0


def test_what_there_is(verbs: OpenStudio) -> None:
    toybox = next(row for row in verbs.models() if row.id == "toybox")
    assert toybox.kind == "text-to-image" and toybox.usable and str(ROOT) not in repr(verbs.models())
    layered = verbs.methods("layered")[0]
    steps = next(row for row in layered.settings if row.name == "steps")
    assert (steps.low, steps.high, steps.kind) == (1, 1000, "whole number") and set(steps.presets) == {
        "draft",
        "standard",
        "exact",
    }
    assert [row.name for row in verbs.methods()] == list(CATALOG)
    assert verbs.examples()


def test_sessions_are_renamed_copied_and_trashed(verbs: OpenStudio, session: OpenSession) -> None:
    assert verbs.rename(session.sid, "dog").view().name == "dog"
    copy = verbs.duplicate(session.sid)
    verbs.trash(copy.sid)
    assert [row.sid for row in verbs.sessions()] == [session.sid]
    assert [row.sid for row in verbs.sessions(trashed=True)] == [copy.sid]
    assert verbs.restore(copy.sid).view().name == "dog copy"


def test_the_documents_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands in the document, with the stand-in for the engine."""
    monkeypatch.setattr("studio.app.lazy_engine", lambda settings: StandInEngine())
    monkeypatch.chdir(tmp_path)
    Path("duck.png").write_bytes((ROOT / "assets" / "examples" / "duck-on-the-beach.png").read_bytes())
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 1
    exec(compile(examples[0], "docs/api.md", "exec"), {})
    assert Path("duck.psd").read_bytes().startswith(b"8BPS") and Path("duck.palimpsest").stat().st_size > 1000
    assert "kept pixels changed" in capsys.readouterr().out


def test_the_package_alone_is_light() -> None:
    assert package.open_studio is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
    code = "import sys, studio; print(len([m for m in sys.modules if m.partition('.')[0] in ('studio', 'pipelines')]))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert run.stdout.strip() == "1", run.stderr
