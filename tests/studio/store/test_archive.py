from __future__ import annotations

import copy
import errno
import io
import json
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.contract import Box, LoraUse, Quality, Scope, StageReport
from pipelines.evaluation.drift import Drift
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import digest, encode_mask, encode_png
from studio.errors import StorageFull
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest, canonical_json, turn_id
from studio.session.view import FRESH
from studio.store.archive import container, session_file
from studio.store.archive.schema import BadArchive
from studio.store.archive.session_file import read_archive, write_archive
from studio.store.blobs import Blobs
from studio.store.files import Files
from studio.store.record import Record

WIDTH, HEIGHT = 64, 48
CUT = digest(encode_mask(np.eye(32, dtype=bool)))
"""Of the mask of a subject reference of 32 x 32 pixels."""
DRIFT = Drift("toybox-clip", 0.99, None, 41.5, 0.6, 1, 0).to_json()


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def mask(left: int) -> bytes:
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[10:30, left : left + 20] = True
    return encode_mask(covered)


def blobs(folder: Path) -> Blobs:
    return Blobs(folder, ".png", Files())


def stored(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Maker:
    """Makes turns whose pictures are really there."""

    def __init__(self, pictures: Blobs) -> None:
        self.pictures = pictures
        self.made = 0
        self.masks = [pictures.put(mask(left)) for left in (3, 20, 40)]
        self.reference = pictures.put(picture(999, 32, 32))
        self.cut = pictures.put(encode_mask(np.eye(32, dtype=bool)))

    def original(self) -> Turn:
        return Turn.original(self.pictures.put(picture(0)), 1.0)

    def after(self, parent: str, **changes: Any) -> Turn:
        self.made += 1
        prompts = MaskPrompts(clicks=(Click(12.5, 20.0),), box=Box(3, 10, 23, 30), uploaded=self.masks[2])
        request = TurnRequest(
            model="toybox",
            weights="abc",
            method="layered",
            params={"steps": 5, "guidance": 7.5, "start": "composite", "residual": True},
            quality=Quality.DRAFT,
            subject=f"a dog <script>{self.made}</script>\n\x00",
            background="",
            scope=Scope.SUBJECT,
            seed=self.made,
            mask=self.masks[self.made % 2],
            prompts=prompts.to_json(),
            feather=2.0,
        )
        outcome = Outcome(
            seconds=1.5,
            stages=(StageReport("guidance", 1.5, 5),),
            outside_kept=9,
            flat="#0c0c0e",
            background_reference=self.reference,
            fitted="f" * 64,
            drift=DRIFT,
            in_float32=True,
        )
        made = self.pictures.put(picture(self.made % 7 + 1))
        return Turn.after(parent, replace(request, **changes), made, outcome, 1.0 + self.made)


@pytest.fixture
def pictures(tmp_path: Path) -> Blobs:
    return blobs(tmp_path / "pictures")


@pytest.fixture
def record(pictures: Blobs) -> Record:
    """Five edits, a branch, a turn in the trash."""
    maker = Maker(pictures)
    tree = Tree.planted(maker.original())
    tree = tree.append(maker.after(tree.current))
    fork = tree.current
    tree = tree.append(maker.after(fork, seed=4, fit_seed=3, mask=None, prompts={}, warm="d" * 64))
    subject = {"subject_reference": maker.reference, "subject_reference_mask": maker.cut}
    tree = tree.append(maker.after(tree.current, **subject, loras=(LoraUse("ink", "c" * 64),)))
    tree = tree.jump(fork).append(maker.after(fork)).branch_here("try another")
    tree = tree.append(maker.after(tree.current))
    tree = tree.trash(tree.current)
    assert (len(tree.turns), len(tree.visible), len(tree.branches)) == (6, 5, 3)
    draft = asdict(
        replace(FRESH, subject="a cat", changes={"steps": 9}, background_reference=maker.reference, candidates=0)
    )
    del draft["prompts"]
    panel = {"draft": draft, "selections": {"now": {}}}
    return Record("s" * 32, "A dog", 1.0, WIDTH, HEIGHT, tree, panel, ("turned upright",), rev=7, saved_at=9.0)


def written(record: Record, pictures: Blobs) -> bytes:
    target = io.BytesIO()
    write_archive(record, pictures, target)
    return target.getvalue()


@pytest.fixture
def file(record: Record, pictures: Blobs) -> bytes:
    return written(record, pictures)


def entries_of(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as source:
        return {name: source.read(name) for name in source.namelist()}


def zipped(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as target:
        for name, data in entries.items():
            target.writestr(name, data)
    return buffer.getvalue()


def with_json(file: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    entries = entries_of(file)
    session = json.loads(entries["session.json"])
    session = change(session) or session
    return zipped({**entries, "session.json": json.dumps(session).encode()})


def refusal(file: bytes, folder: Path) -> str:
    """What is said of `file`; nothing of it may be stored."""
    into = blobs(folder)
    with pytest.raises(BadArchive) as refused:
        read_archive(io.BytesIO(file), into)
    assert stored(folder) == set()
    return str(refused.value)


# ---------------------------------------------------------------------------------------------------- what is right


def test_a_session_reads_back_as_it_was_under_a_new_id(record: Record, file: bytes, tmp_path: Path) -> None:
    into = blobs(tmp_path / "other")
    read = read_archive(io.BytesIO(file), into)
    turns = {id: replace(turn, outcome=replace(turn.outcome, fitted=None)) for id, turn in record.tree.turns.items()}
    assert read.tree == replace(record.tree, turns=turns)
    assert list(read.tree.turns) == list(record.tree.turns)
    assert (read.name, read.notes, read.created_at) == (record.name, record.notes, record.created_at)
    assert (read.width, read.height) == (WIDTH, HEIGHT)
    draft = {name: value for name, value in record.panel["draft"].items() if name != "insisted"}
    assert read.panel == {"draft": draft, "masks": []}, (
        "who opens a session is asked anew about a picture the model is not made for"
    )
    assert len(read.sid) == 32 and read.sid != record.sid and read.rev == 0
    assert {name.removeprefix("pictures/") for name in entries_of(file)} - {"session.json"} == stored(
        tmp_path / "other"
    )
    assert record.sid.encode() not in file


def saved_masks(record: Record, pictures: Blobs) -> Record:
    """`record` with two masks by name, and a third of a turn that it lost."""
    turns = list(record.tree.turns)
    told = [("a dog", mask(3), turns[0]), ("left / right", mask(40), turns[4]), ("gone", mask(3), "0" * 64)]
    area = 20 * 20 / (WIDTH * HEIGHT)
    kept = [{"name": name, "mask": pictures.put(data), "turn": turn, "area": area} for name, data, turn in told]
    return replace(record, panel={**record.panel, "masks": kept})


def test_saved_masks_travel_and_raise_the_version(record: Record, file: bytes, pictures: Blobs, tmp_path: Path) -> None:
    plain = json.loads(entries_of(file)["session.json"])
    assert plain["version"] == 1 and "masks" not in plain, "older studios read what holds no masks"
    with_masks, into = saved_masks(record, pictures), blobs(tmp_path / "other")
    out = written(with_masks, pictures)
    assert json.loads(entries_of(out)["session.json"])["version"] == 2
    read = read_archive(io.BytesIO(out), into)
    assert read.panel["masks"] == with_masks.panel["masks"][:2], "but for the one whose turn is not there"
    assert into.get(read.panel["masks"][0]["mask"]) == mask(3)
    assert written(read, into) == out


def test_the_same_session_gives_the_same_bytes_wherever_it_was(record: Record, file: bytes, tmp_path: Path) -> None:
    into = blobs(tmp_path / "other")
    read = read_archive(io.BytesIO(file), into)
    assert written(read, into) == file
    assert written(replace(record, rev=8, saved_at=10.0), into) == file


def test_a_file_is_read_from_its_path_too(file: bytes, tmp_path: Path, pictures: Blobs) -> None:
    path = tmp_path / "A dog.palimpsest"
    path.write_bytes(file)
    assert read_archive(path, pictures).name == "A dog"
    with pytest.raises(BadArchive, match="not a whole session file"):
        read_archive(tmp_path / "none", pictures)


def test_the_order_of_turns_and_entries_and_their_packing_do_not_matter(file: bytes, tmp_path: Path) -> None:
    expected = read_archive(io.BytesIO(file), blobs(tmp_path / "a"))
    for seed in range(5):
        shuffle = random.Random(seed).shuffle
        entries = entries_of(file)
        session = json.loads(entries["session.json"])
        shuffle(session["turns"])
        entries["session.json"] = json.dumps(session, indent=1).encode()
        names = list(entries)
        shuffle(names)
        again = zipped({name: entries[name] for name in names}, zipfile.ZIP_DEFLATED)
        read = read_archive(io.BytesIO(again), blobs(tmp_path / str(seed)))
        assert read.tree == expected.tree
        for id, turn in read.tree.turns.items():
            assert turn.parent is None or list(read.tree.turns).index(turn.parent) < list(read.tree.turns).index(id)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_timeline_was_made_by_hand_travels(seed: int, pictures: Blobs, tmp_path: Path) -> None:
    draw, maker = random.Random(seed), Maker(pictures)
    tree = Tree.planted(maker.original())
    for step in range(40):
        ids = list(tree.visible)
        action = draw.choice(["append", "append", "jump", "branch", "trash", "restore", "undo"])
        if action == "append":
            tree = tree.append(maker.after(draw.choice(ids)))
        elif action == "jump":
            tree = tree.jump(draw.choice(ids))
        elif action == "branch":
            tree = tree.branch_here(f"b{step}")
        elif action == "trash" and len(ids) > 1:
            tree = tree.trash(draw.choice(ids[1:]))
        elif action == "restore" and tree.trashed:
            tree = tree.restore(draw.choice(tree.trashed).cut)
        else:
            tree = tree.undo()
    draft = {name: value for name, value in asdict(FRESH).items() if name != "prompts"}
    made = Record("s" * 32, "by hand", 1.0, WIDTH, HEIGHT, tree, {"draft": draft})
    into = blobs(tmp_path / "other")
    read = read_archive(io.BytesIO(written(made, pictures)), into)
    assert list(read.tree.turns) == list(tree.turns)
    assert (read.tree.branches, read.tree.branch, read.tree.current) == (tree.branches, tree.branch, tree.current)
    assert read.tree.trashed == tree.trashed
    for trashed in reversed(tree.trashed):
        tree, read = tree.restore(trashed.cut), replace(read, tree=read.tree.restore(trashed.cut))
    assert read.tree.branches == tree.branches


def test_what_could_not_be_read_is_not_written(
    record: Record, pictures: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadArchive, match="a text"):
        written(replace(record, notes=("x" * 200_000,)), pictures)
    monkeypatch.setattr(session_file, "MOST_ENTRIES", 5)
    with pytest.raises(BadArchive, match="at most"):
        written(record, pictures)


def test_a_full_disk_says_so(file: bytes, tmp_path: Path, faulty: Any) -> None:
    into = Blobs(tmp_path / "other", ".png", faulty(7, errno.ENOSPC))
    with pytest.raises(StorageFull):
        read_archive(io.BytesIO(file), into)


# ------------------------------------------------------------------------------------------ what session.json may say


def turn(number: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change fields of a turn (``request__seed`` one of its request) and leave its id as it was."""
    return lambda session: _put(session["turns"][number], changes)


def forged(number: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    """The same, and give the turn and all after it the ids that go with it: a forgery that must be told otherwise."""

    def rename(session: dict[str, Any]) -> None:
        before = [raw["id"] for raw in session["turns"]]
        _put(session["turns"][number], changes)
        ids = {}
        for old, raw in zip(before, session["turns"], strict=True):
            raw["parent"] = ids.get(raw["parent"], raw["parent"])
            request = None if raw["request"] is None else TurnRequest(**raw["request"])
            raw["id"] = ids[old] = turn_id(raw["parent"], request, raw["picture"])
        for branch in (*session["branches"], *(b for cut in session["trashed"] for b in cut["branches"])):
            branch["tip"] = ids[branch["tip"]]
        for cut in session["trashed"]:
            cut["cut"] = ids[cut["cut"]]
        session["current"] = ids[session["current"]]

    return rename


def _put(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    for path, value in changes.items():
        *parents, name = path.split("__")
        inside = raw
        for parent in parents:
            inside = inside[parent]
        inside[name] = value


def named(session: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A saved mask as it may be, and then `changes`."""
    asked = session["turns"][1]
    return {"name": "a", "mask": asked["request"]["mask"], "turn": asked["id"], **changes}


WRONG: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("newer", lambda s: s.update(version=4), "newer studio"),
    ("older", lambda s: s.update(version=0), "reads versions 1 to 3"),
    ("version of a kind", lambda s: s.update(version=True), "reads versions 1 to 3"),
    ("another format", lambda s: s.update(format="krita"), "format is"),
    ("a list", lambda s: [s], "format is"),
    ("a field less", lambda s: s.pop("name"), "needs the fields"),
    ("a field more", lambda s: s.update(extra=1), "needs the fields"),
    ("a number for a name", lambda s: s.update(name=5), "session.json.name"),
    ("a name of nothing", lambda s: s.update(name=" \t"), "printable"),
    ("a name that rings", lambda s: s.update(name="a\x07b"), "printable"),
    ("a name without end", lambda s: s.update(name="a" * 121), "printable"),
    ("turns of a kind", lambda s: s.update(turns={}), "session.json.turns"),
    ("no turns", lambda s: s.update(turns=[]), "one original"),
    ("size of a kind", lambda s: s.update(width="64"), "session.json.width"),
    ("a switch for a size", lambda s: s.update(width=True), "session.json.width"),
    ("no size", lambda s: s.update(width=0), "no such size"),
    ("too large a size", lambda s: s.update(width=8192, height=8192), "no such size"),
    ("another size", lambda s: s.update(width=65), "must be 65 x 48"),
    ("a time before time", lambda s: s.update(created_at=-1), "no such time"),
    ("a time after time", lambda s: s.update(created_at=1e15), "no such time"),
    ("infinity", lambda s: s.update(created_at=float("inf")), "no number"),
    ("not a number", lambda s: s.update(created_at=float("nan")), "no number"),
    ("too many notes", lambda s: s.update(notes=["x"] * 101), "too many"),
    ("half a character", lambda s: s.update(notes=["\ud800"]), "not Unicode"),
    ("a number too large", lambda s: s["draft"].update(seed=2**70), "too large"),
    ("a draft of a kind", lambda s: s["draft"].update(scope="everything"), "draft.scope"),
    ("a setting with insides", lambda s: s["draft"].update(changes={"steps": [1]}), "no number, switch or word"),
    ("a draft of a method there is none of", lambda s: s["draft"].update(method="telepathy"), "no method called"),
    ("a setting of a kind", lambda s: s["draft"].update(changes={"steps": "many"}), "must be a number"),
    ("a setting out of its range", lambda s: s["draft"].update(changes={"steps": 10**6}), "got 1000000"),
    ("a setting there is none of", lambda s: s["draft"].update(changes={"magic": 1}), "unknown setting"),
    ("a LoRA's scale in words", lambda s: s["draft"].update(loras={"ink": "strong"}), "no number"),
    ("a LoRA's scale out of its range", lambda s: s["draft"].update(loras={"ink": 99.0}), "between -4 and 4"),
    ("a reference not there", lambda s: s["draft"].update(subject_reference="0" * 64), "lacks 1"),
    ("a mask of no reference", lambda s: s["draft"].update(subject_reference_mask=CUT), "not that of a subject ref"),
    (
        "a mask of another size than its reference",
        lambda s: s["draft"].update(subject_reference=s["turns"][0]["picture"], subject_reference_mask=CUT),
        "not that of a subject reference",
    ),
    (
        "a reference's mask that is a picture",
        lambda s: s["draft"].update(subject_reference_mask=s["turns"][0]["picture"]),
        "grey",
    ),
    ("a reference that leads out", lambda s: s["draft"].update(subject_reference="../../x"), "SHA-256"),
    ("a saved mask of a kind", lambda s: s.update(masks=[{"name": "a"}]), "session.json.masks[0] needs"),
    ("a saved mask of no name", lambda s: s.update(masks=[named(s, name=" ")]), "no name or turn"),
    ("a saved mask of no turn", lambda s: s.update(masks=[named(s, turn="0" * 64)]), "no name or turn"),
    ("a saved mask twice", lambda s: s.update(masks=[named(s), named(s)]), "of different names"),
    ("a saved mask in colour", lambda s: s.update(masks=[named(s, mask=s["turns"][0]["picture"])]), "grey"),
    ("a saved mask of another size", lambda s: s.update(masks=[named(s, mask=CUT)]), "must be 64 x 48"),
    # the timeline
    ("two originals", turn(1, parent=None, request=None), "one original; this one has 2"),
    ("an unknown parent", turn(1, parent="0" * 64), "not there"),
    ("a circle of two", lambda s: s["turns"][1].update(parent=s["turns"][2]["id"]), "circle"),
    ("a circle of one", lambda s: s["turns"][1].update(parent=s["turns"][1]["id"]), "circle"),
    ("a turn twice", lambda s: s["turns"].append(s["turns"][1]), "once"),
    ("a forged picture", lambda s: s["turns"][1].update(picture=s["turns"][0]["picture"]), "changed after"),
    ("a forged text", turn(1, request__subject="a cow"), "changed after"),
    ("a forged seed", turn(1, request__seed=99), "changed after"),
    ("a forged id", turn(5, id="0" * 64), "not there"),
    ("another parent", lambda s: s["turns"][2].update(parent=s["turns"][0]["id"]), "changed after"),
    ("an edit without request", turn(1, request=None), "both a parent and a request"),
    ("no branch", lambda s: s.update(branches=[]), "does not lead to|no branch leads"),
    ("a branch to nowhere", lambda s: s["branches"][1].update(tip="0" * 64), "ends at a turn that is not there"),
    ("a branch into the trash", lambda s: s["branches"][1].update(tip=s["turns"][5]["id"]), "ends at a turn"),
    ("two branches of a name", lambda s: s["branches"][1].update(name=s["branches"][0]["name"]), "of one name"),
    ("a branch of no name", lambda s: s["branches"][1].update(name=""), "which is none"),
    ("a branch of markup and rings", lambda s: s["branches"][1].update(name="\x1b[31m"), "which is none"),
    ("a turn on no branch", lambda s: s["branches"][0].update(tip=s["turns"][0]["id"]), "no branch leads"),
    ("standing nowhere", lambda s: s.update(current="0" * 64), "does not lead to"),
    ("standing on another branch", lambda s: s.update(current=s["turns"][3]["id"]), "does not lead to"),
    ("standing in the trash", lambda s: s.update(current=s["turns"][5]["id"]), "does not lead to"),
    ("standing on no branch", lambda s: s.update(branch="none"), "does not lead to"),
    ("the original in the trash", lambda s: s["trashed"][0].update(cut=s["turns"][0]["id"]), "cannot have been put"),
    ("nothing in the trash", lambda s: s["trashed"][0].update(cut="0" * 64), "the trash names"),
    ("trash twice", lambda s: s["trashed"].append(s["trashed"][0]), "one twice|cannot have been"),
    ("trash without branches", lambda s: s["trashed"][0].update(branches=[]), "no branch leads"),
    ("trash within trash", lambda s: s["trashed"].append({**s["trashed"][0], "cut": s["turns"][5]["id"]}), "trash"),
    # requests and outcomes, their ids made to fit
    ("a method of a kind", turn(1, request__method=7), "request.method"),
    ("an unknown quality", turn(1, request__quality="best"), "request.quality"),
    ("a feather of a kind", forged(1, request__feather="2"), "request.feather"),
    ("a feather too wide", forged(1, request__feather=65.0), "outside its range"),
    ("a seed below zero", forged(1, request__seed=-1), "outside its range"),
    ("a text without end", forged(1, request__subject="a" * 100_001), "longer than"),
    ("settings with insides", forged(1, request__params={"steps": {"a": 1}}), "no number, switch or word"),
    ("a mask that leads out", forged(1, request__mask="../../etc/passwd"), "SHA-256"),
    ("a mask that is a picture", lambda s: forged(1, request__mask=s["turns"][0]["picture"])(s), "grey"),
    (
        "a reference that is a mask",
        lambda s: s["draft"].update(subject_reference=s["turns"][1]["request"]["mask"]),
        "grey",
    ),
    ("a mask not there", forged(1, request__mask="0" * 64), "lacks 1"),
    ("clicks outside", forged(1, request__prompts={"clicks": [{"x": 99, "y": 1}]}), "between 0 and 64"),
    ("half a point", forged(1, request__prompts={"strokes": [{"points": [[1]], "radius": 3}]}), "cannot be"),
    ("prompts of a kind", forged(1, request__prompts={"magic": 1}), "cannot be"),
    ("too many clicks", forged(1, request__prompts={"clicks": [{"x": 1, "y": 1}] * 65}), "at most 64"),
    ("an uploaded mask not there", forged(1, request__prompts={"uploaded": "0" * 64}), "lacks 1"),
    ("a LoRA of a kind", forged(1, request__loras=["ink"]), "loras[0] needs"),
    ("a LoRA without bounds", forged(1, request__loras=[{"name": "a", "sha256": "0" * 64, "scale": 99}]), "scale"),
    (
        "a LoRA that leads out",
        forged(1, request__loras=[{"name": "a", "sha256": "../x", "scale": 1.0}]),
        "cannot be one",
    ),
    ("layers that lead out", forged(1, request__warm="../../studio"), "layers that cannot be any"),
    ("layers of a kind", forged(1, request__warm=7), "request.warm"),
    ("seconds below zero", turn(1, outcome__seconds=-1.0), "cannot be counted"),
    ("counts of a kind", turn(1, outcome__outside_kept=1.5), "outside_kept"),
    ("stages of a kind", turn(1, outcome__stages=[{"name": "a"}]), "stages[0] needs"),
    ("layers that do not travel", turn(1, outcome__fitted="0" * 64), "do not travel"),
    ("a second run of a kind", turn(1, outcome__in_float32=1), "in_float32"),
    ("drift of a kind", turn(1, outcome__drift={**DRIFT, "subject": "<b>"}), "drift of turn"),
    ("a colour that is none", turn(1, outcome__flat="<b>"), "a colour that is none"),
    ("drift of nothing", turn(1, outcome__drift={}), "drift of turn"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_session_that_says_what_cannot_be_is_refused_whole(
    change: Callable[[dict[str, Any]], Any], said: str, file: bytes, tmp_path: Path
) -> None:
    wrong = with_json(file, lambda s: found if isinstance(found := change(s), list) else None)  # type: ignore[arg-type]
    message = refusal(wrong, tmp_path / "other")
    assert any(part in message for part in said.split("|")), message
    assert len(message) < 600
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{\0}\0", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[" * 200 + b"]" * 200, "nested deeper"),
        (b'{"format": "palimpsest", "format": "palimpsest"}', "twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": -Infinity}', "no number"),
    ],
    ids=["empty", "cut", "utf-16", "deep", "deep enough", "twice", "digits", "exponent", "infinity"],
)
def test_text_that_is_no_session_is_refused(text: bytes, said: str, file: bytes, tmp_path: Path) -> None:
    assert said in refusal(zipped({**entries_of(file), "session.json": text}), tmp_path / "other")


# ----------------------------------------------------------------------------------------------------------- the ZIP


@pytest.mark.parametrize(
    "name",
    [
        *("../session.json", "/etc/passwd", "C:\\x.png", "..\\x.png", "pictures/../../x.png", "pictures/"),
        *("session.json ", "Session.json", "pictures/" + "A" * 64 + ".png", "nested.palimpsest", "pictures/x.png"),
        *("pictures/" + "0" * 64 + ".png\0.exe", "a" * 5000, "\x1b[31m"),
    ],
)
def test_an_entry_of_another_name_is_refused(name: str, file: bytes, tmp_path: Path) -> None:
    entries = entries_of(file)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for known, data in entries.items():
            target.writestr(known, data)
        info = zipfile.ZipInfo("placeholder")
        info.filename = name  # as it stands: ZipInfo would mend it
        target.writestr(info, b"x")
    message = refusal(buffer.getvalue(), tmp_path / "other")
    assert "belong there" in message
    assert message.isprintable()


def test_a_picture_nobody_names_and_one_that_is_missing_are_refused(file: bytes, tmp_path: Path) -> None:
    entries = entries_of(file)
    extra = picture(12345)
    name = f"pictures/{digest(extra)}.png"
    assert "no turn names" in refusal(zipped({**entries, name: extra}), tmp_path / "a")
    for missing in entries:
        rest = {name: data for name, data in entries.items() if name != missing}
        assert "lacks 1" in (said := refusal(zipped(rest), tmp_path / "b")) or "no entry 'session.json'" in said


def test_an_entry_that_comes_twice_is_refused(file: bytes, tmp_path: Path) -> None:
    entries = entries_of(file)
    buffer = io.BytesIO(file)
    with zipfile.ZipFile(buffer, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr("session.json", entries["session.json"])
    assert "two entries" in refusal(buffer.getvalue(), tmp_path / "other")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_an_entry_that_is_no_plain_file_is_refused(kind: int, file: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in entries_of(file).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o777) << 16
            target.writestr(info, data)
    assert "no plain file" in refusal(buffer.getvalue(), tmp_path / "other")


def test_encrypted_and_strangely_packed_entries_are_refused(file: bytes, tmp_path: Path) -> None:
    encrypted = bytearray(file)
    encrypted[encrypted.find(b"PK\1\2") + 8] |= 1
    assert "encrypted" in refusal(bytes(encrypted), tmp_path / "a")
    assert "packed" in refusal(zipped(entries_of(file), zipfile.ZIP_LZMA), tmp_path / "b")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\3\4" * 30, b"hello " * 100, picture(1), b"PK\5\6" + b"\0" * 18])
def test_what_is_no_zip_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "not a session file" in refusal(data, tmp_path / "other")


def test_a_zip_inside_something_else_is_refused(file: bytes, tmp_path: Path) -> None:
    assert "not a session file" in refusal(b"#!/bin/sh\n" + file, tmp_path / "a")
    assert "not a session file" in refusal(file + b"more", tmp_path / "b")
    commented = bytearray(file + b"comment")
    commented[len(file) - 2 : len(file)] = struct.pack("<H", 7)
    assert "not a session file" in refusal(bytes(commented), tmp_path / "c")


def test_a_bomb_is_stopped_while_it_unpacks(file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = entries_of(file)
    bomb = zipped({**entries, "session.json": b" " * 9_000_000}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    assert "unpacks to far more" in refusal(bomb, tmp_path / "a")
    assert "larger than 10 MB" in refusal(zipped({**entries, "session.json": b" " * 10_600_000}), tmp_path / "b")
    # The directory may claim that there is little to unpack: what comes is counted all the same.
    lying = bytearray(bomb)
    at = lying.find(b"PK\1\2")
    struct.pack_into("<L", lying, at + 24, 50)
    refusal(bytes(lying), tmp_path / "c")
    monkeypatch.setattr(container, "LARGEST_ARCHIVE", 40_000)
    assert "at most 0 MB" in refusal(file, tmp_path / "d")


def test_too_many_entries_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    many = zipped({f"{number}": b"" for number in range(20_001)})
    assert "at most 20000 entries" in refusal(many, tmp_path / "a")
    lying = bytearray(many)
    struct.pack_into("<HH", lying, len(many) - 14, 3, 3)
    assert "belong there" in refusal(bytes(lying), tmp_path / "b")
    huge = bytearray(zipped({"session.json": b"{}"}))
    struct.pack_into("<L", huge, len(huge) - 10, 2**31)
    assert "at most 20000 entries" in refusal(bytes(huge), tmp_path / "c")


# ---------------------------------------------------------------------------------------------------------- pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def swapped_picture(file: bytes, data: bytes) -> bytes:
    """`data` in the place of the original, everything else made to fit."""
    entries = entries_of(file)
    session = json.loads(entries.pop("session.json"))
    old, new = session["turns"][0]["picture"], digest(data)
    forged(0, picture=new)(session)
    entries.pop(f"pictures/{old}.png")
    entries[f"pictures/{new}.png"] = data
    return zipped({"session.json": json.dumps(session).encode(), **entries})


def with_chunk(kind: bytes, data: bytes) -> bytes:
    whole = picture(50)
    return whole[:33] + chunk(kind, data) + whole[33:]


def other_header(**fields: int) -> bytes:
    values = {"width": WIDTH, "height": HEIGHT, "depth": 8, "colour": 2, "interlace": 0, **fields}
    header = struct.pack(
        ">LL5B", values["width"], values["height"], values["depth"], values["colour"], 0, 0, values["interlace"]
    )
    return picture(51)[:8] + chunk(b"IHDR", header) + picture(51)[33:]


def test_a_picture_in_another_ones_place_is_taken_when_everything_fits(file: bytes, tmp_path: Path) -> None:
    read = read_archive(io.BytesIO(swapped_picture(file, picture(50))), blobs(tmp_path / "other"))
    assert read.tree.turns[next(iter(read.tree.turns))].picture == digest(picture(50))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a plain PNG"),
        (b"GIF89a" + b"\0" * 60, "not a plain PNG"),
        (picture(50)[:-20], "not a plain PNG"),
        (picture(50) + b"<script>", "not a plain PNG"),
        (picture(50) + zipped({"a": b"b"}), "not a plain PNG"),
        (with_chunk(b"tEXt", b"Author\0me"), "not a plain PNG"),
        (with_chunk(b"eXIf", b"MM\0*"), "not a plain PNG"),
        (with_chunk(b"tRNS", b"\0" * 6), "not a plain PNG"),
        (with_chunk(b"acTL", b"\0" * 8), "not a plain PNG"),
        (other_header(depth=16), "of 8 bits"),
        (other_header(colour=6), "of 8 bits"),
        (other_header(interlace=1), "of 8 bits"),
        (other_header(width=100_000), "must be 64 x 48"),
        (other_header(height=2**31, width=2**31), "pixels at most"),
        (picture(50, 48, 48), "must be 64 x 48"),
        (picture(50)[:60] + b"\0" * 40 + picture(50)[100:], "cannot be used"),
        (mask(9), "grey"),
    ],
)
def test_a_picture_that_is_not_as_the_studio_writes_it_is_refused(
    data: bytes, said: str, file: bytes, tmp_path: Path
) -> None:
    assert said in refusal(swapped_picture(file, data), tmp_path / "other")


def test_a_picture_under_another_ones_name_is_refused(file: bytes, tmp_path: Path) -> None:
    entries = entries_of(file)
    name = next(name for name in entries if name != "session.json")
    assert "not the one its name says" in refusal(zipped({**entries, name: picture(60)}), tmp_path / "other")


def test_pictures_of_more_pixels_than_a_file_may_have_are_refused_before_one_is_read(
    file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = container.Entries.read

    def noted(self: container.Entries, name: str, limit: int) -> bytes:
        read.append(name)
        return real(self, name, limit)

    monkeypatch.setattr(container.Entries, "read", noted)
    huge = bytearray(picture(50))
    struct.pack_into(">LL", huge, 16, 40_000, 40_000)
    said = refusal(swapped_picture(file, bytes(huge)), tmp_path / "other")
    assert "1000 million pixels at most" in said and "1600 million" in said and read == ["session.json"]


@pytest.mark.parametrize("spoil", ["a row less", "a row more", "a filter", "cut", "a checksum", "more after it"])
def test_a_picture_whose_pixels_are_not_all_there_is_refused(spoil: str, file: bytes, tmp_path: Path) -> None:
    rows = bytearray((b"\0" + bytes(3 * WIDTH)) * (HEIGHT + {"a row less": -1, "a row more": 1}.get(spoil, 0)))
    if spoil == "a filter":
        rows[1 + 3 * WIDTH] = 5
    packed = zlib.compress(bytes(rows))
    packed = packed[:-5] if spoil == "cut" else packed + b"more" if spoil == "more after it" else packed
    pixels = bytearray(chunk(b"IDAT", packed))
    pixels[-1] ^= spoil == "a checksum"
    whole = picture(1)
    made = whole[:33] + bytes(pixels) + whole[-12:]
    assert "cannot be used" in refusal(swapped_picture(file, made), tmp_path / "other")


# -------------------------------------------------------------------------------------------------------------- chance


def test_bytes_changed_at_random_are_refused_or_harmless(file: bytes, tmp_path: Path) -> None:
    """Every byte of the pictures and of the text is under a checksum; dates and the like may change."""
    expected = read_archive(io.BytesIO(file), blobs(tmp_path / "a"))
    draw, into = random.Random(5), blobs(tmp_path / "b")
    for _ in range(400):
        wrong = bytearray(file)
        for _ in range(draw.choice([1, 1, 1, 5])):
            # Most of the file are pixels: aim at its structure half of the time.
            end = len(wrong) if draw.random() < 0.5 else 2500
            wrong[-draw.randrange(1, end)] = draw.randrange(256)
        if draw.random() < 0.2:
            wrong = wrong[: draw.randrange(len(wrong))]
        try:
            read = read_archive(io.BytesIO(bytes(wrong)), into)
        except BadArchive:
            continue
        assert read.tree == expected.tree


def test_json_changed_at_random_is_refused_or_a_session(file: bytes, tmp_path: Path) -> None:
    draw, into = random.Random(6), blobs(tmp_path / "other")
    entries = entries_of(file)
    session = json.loads(entries["session.json"])
    odd = [None, True, -1, 0, 2**63, 1e308, "", "x", "\ud800", "0" * 64, [], {}, [[]], {"a": None}, "a\x00b"]
    taken = 0
    for _ in range(600):
        wrong = copy.deepcopy(session)
        for _ in range(draw.choice([1, 1, 2])):
            *parents, name = draw.choice(places(wrong))
            inside: Any = wrong
            for parent in parents:
                inside = inside[parent]
            action = draw.random()
            if action < 0.2:
                del inside[name]
            elif action < 0.4:
                others = places(wrong)
                inside[name] = copy.deepcopy(at(wrong, draw.choice(others)))
            elif action < 0.5 and isinstance(inside, dict):
                inside[draw.choice(["extra", "", "\u202e"])] = draw.choice(odd)
            else:
                inside[name] = draw.choice(odd)
        try:
            read = read_archive(io.BytesIO(zipped({**entries, "session.json": json.dumps(wrong).encode()})), into)
        except BadArchive:
            continue
        taken += 1
        assert next(iter(read.tree.visible)) == session["turns"][0]["id"]
        read.tree.depths(), read.tree.lanes(), read.tree.jump(read.tree.current)
        for cut in read.tree.trashed:
            read.tree.restore(cut.cut).lanes()
        canonical_json(read.panel)
        assert read_archive(io.BytesIO(written(read, into)), into).tree == read.tree
    assert taken > 0  # a mutation of a text or a time is a session all the same


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, below in inside for place in ((*path, key), *places(below, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
