"""How a judge's reading of an edit is set against a person's grade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.contract import Picture
from pipelines.toybox.grades import Graded, faults, read_grades
from pipelines.toybox.judge import REFUSED
from pipelines.toybox.words import Attributes

BEFORE, AFTER = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 9, np.uint8)
DOG = Attributes("dog", "natural", "big", "standing", "beach")
TURN = Graded("a.png", "a cat", "", "B", BEFORE, AFTER)


def found(turn: Graded, after: Attributes) -> list[str]:
    def see(picture: Picture) -> Attributes:
        return DOG if picture is BEFORE else after

    return faults(turn, see)


def test_what_was_asked_and_what_was_to_stay_is_compared() -> None:
    assert found(TURN, replace(DOG, subject="cat")) == []
    assert found(TURN, replace(DOG, subject="cat", background="snow")) == ["background: beach, read snow"]
    assert found(TURN, DOG) == ["subject: cat, read dog"]
    forest = replace(TURN, subject="", background="in a forest")
    assert found(forest, replace(DOG, background="forest")) == []
    assert found(forest, replace(DOG, background="forest", colour="red")) == ["colour: natural, read red"]


def test_what_the_judge_refuses_is_wrong() -> None:
    assert "subject refused" in found(TURN, replace(DOG, subject=REFUSED))


def test_grades_are_read_with_their_pictures(tmp_path: Path) -> None:
    for name in ("one.png", "one-before.png"):
        Image.fromarray(BEFORE).save(tmp_path / name)
    (tmp_path / "grades.csv").write_text(
        "file,before,subject,background,grade\none.png,one-before.png, a cat ,,b\n"
        "one.png,examples/cat-in-the-snow.png,,in a forest,F\n"
    )
    one, two = read_grades(tmp_path)
    assert (one.subject, one.background, one.grade) == ("a cat", "", "B")
    assert two.grade == "F" and two.before.shape == (256, 256, 3), "a picture of the assets is found there"
