"""The hints to the texts of a turn as a whole: what is marked, what is said, and what the offered words lead to."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.catalog import CATALOG, method
from pipelines.contract import Scope
from pipelines.evaluation.cases import held_out_cases
from pipelines.hints.contract import Fix, Hint, Kind
from pipelines.hints.texts import LEAVE_OUT, TO_INSTRUCTION, hints_of, line
from pipelines.models.domain import NOTHING_SAID
from pipelines.models.folders import ModelCard, find_model
from studio.settings import ASSETS

TOYBOX = find_model("toybox", [ASSETS / "models"])
PLAIN = replace(TOYBOX, title="Plain", domain=NOTHING_SAID)
"""A model whose card says nothing, as that of a Stable Diffusion checkpoint."""


def hints(
    subject: str = "",
    background: str = "",
    scope: Scope = Scope.BOTH,
    by: str = "layered",
    card: ModelCard | None = TOYBOX,
    said: tuple[str, str] = ("", ""),
) -> tuple[Hint, ...]:
    return hints_of(subject, background, scope, method(by), card, said)


def marked(found: tuple[Hint, ...], **texts: str) -> list[tuple[Kind, list[str]]]:
    return [(hint.kind, [texts[hint.part][start:end] for start, end in hint.spans]) for hint in found]


def test_what_the_embedded_model_was_not_taught_is_marked_with_what_is_near() -> None:
    texts = {"subject": "a blaue duck with a hat", "background": "in Times Square"}
    found = hints(**texts)
    assert marked(found, **texts) == [(Kind.UNKNOWN, ["blaue", "hat"]), (Kind.UNKNOWN, ["Times Square"])]
    assert found[0].says == "Toybox was not taught “blaue” and “hat”."
    assert Fix("blaue → blue", subject="a blue duck with a hat") in found[0].fixes
    # Nothing is spelt like it, so what may stand in a background is offered.
    assert Fix("in the desert", background="in the desert") in found[1].fixes
    known = dict(found[0].known)
    assert Fix("purple", subject="a purple duck with a hat") in known["colour"]
    assert Fix("in the city", background="in the city") in dict(found[1].known)["background"]


def test_every_word_that_is_offered_is_known() -> None:
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for _ in range(40):
        word = "".join(rng.choices(letters, k=rng.randrange(3, 9)))
        for hint in hints(f"a {word}", f"in the {word}"):
            for fix in (*hint.fixes, *(fix for _, fixes in hint.known for fix in fixes)):
                after = hints(fix.subject or "", fix.background or "")
                assert [again.kind for again in after if again.kind is not Kind.CUT] == [], (word, fix, after)


def test_a_model_without_a_vocabulary_marks_no_word() -> None:
    assert hints("a blaue duck with a hat", "in Times Square", card=PLAIN) == ()
    assert hints("a blaue duck with a hat", "in Times Square", card=None) == ()


@pytest.mark.parametrize("card", [TOYBOX, PLAIN, None])
def test_how_a_text_is_meant_is_said_for_every_model(card: ModelCard | None) -> None:
    texts = {"subject": "make it blue", "background": "in a forest, no trees"}
    found = hints(**texts, card=card, said=("a small dog", ""))
    assert marked(found, **texts) == [(Kind.INSTRUCTION, ["make it blue"]), (Kind.NEGATION, ["no trees"])]
    assert found[0].fixes == (
        Fix("a small blue dog", subject="a small blue dog"),
        Fix(TO_INSTRUCTION, subject="", instruction="make it blue"),
    )
    assert found[1].fixes == (Fix(LEAVE_OUT, background="in a forest"),)
    assert all(hint.says.count(".") == 1 and hint.says.endswith(".") for hint in found), "one sentence"


def test_removal() -> None:
    (hint,) = hints("remove the dog", card=PLAIN)
    assert (hint.kind, hint.fixes) == (Kind.REMOVAL, (Fix(LEAVE_OUT, subject=""),))
    (hint,) = hints("remove the hat", card=PLAIN, said=("a dog wearing a hat", ""))
    assert hint.fixes[0] == Fix("a dog", subject="a dog"), "what the splitter understands is offered"


def test_an_instruction_about_the_other_part_goes_there() -> None:
    (hint,) = hints("put it in a forest", card=PLAIN, said=("a dog", ""))
    assert hint.fixes[0] == Fix("in a forest", subject="", background="in a forest")
    (hint,) = hints("make the dog blue and put it in a forest", card=PLAIN)
    assert hint.fixes[0] == Fix("a blue dog, in a forest", subject="a blue dog", background="in a forest")


def test_a_wish_to_keep_something_is_left_out() -> None:
    (hint,) = hints("", "keep the background", card=PLAIN)
    assert hint.kind is Kind.INSTRUCTION and hint.fixes == (Fix(LEAVE_OUT, background=""),)


def test_a_method_that_is_told_what_to_do_is_told_so() -> None:
    assert hints("make it blue, no hat", "let it snow", by="instruct") == ()


def test_weights_are_plain_words() -> None:
    (hint,) = hints("a (blue:1.3) dog")
    assert hint.kind is Kind.SYNTAX and "“(blue:1.3)” is read as plain words" in hint.says
    assert hint.fixes == (Fix("blue", subject="a blue dog"),)


def test_a_part_that_stays_gets_no_hint() -> None:
    assert hints("make it blue", "no trees", scope=Scope.SUBJECT, card=PLAIN)[0].part == "subject"
    assert [hint.part for hint in hints("make it blue", "no trees", scope=Scope.BACKGROUND, card=PLAIN)] == [
        "background"
    ]


FIVE = "a big red dog jumping"
"""Five tokens of the embedded model, which reads 30."""


@pytest.mark.parametrize(
    ("by", "subject", "background", "cut"),
    [
        ("layered", f"{FIVE} " * 6, "in a forest", {}),
        ("layered", f"{FIVE} " * 6 + "a rocket", "in a forest", {"subject": "a rocket"}),
        ("layered", f"  {FIVE} " * 6 + "xyz rocket ", "", {"subject": "xyz rocket"}),
        ("sdedit", f"{FIVE} " * 5, "in a forest at night", {}),
        ("sdedit", f"{FIVE} " * 5 + "big red", " in a forest at night", {"background": "at night"}),
        ("inpaint", f"{FIVE} " * 6, "in a forest", {"background": "in a forest"}),
        ("inpaint", f"{FIVE} " * 7, " in a forest", {"subject": FIVE, "background": "in a forest"}),
        ("inpaint", f"{FIVE} " * 6, " ", {}),
        ("instruct", f"{FIVE} " * 5 + "a red", "in a forest", {"background": "a forest"}),  # "and" is two
    ],
)
def test_where_reading_ends(by: str, subject: str, background: str, cut: dict[str, str]) -> None:
    texts = {"subject": subject, "background": background}
    found = tuple(hint for hint in hints(**texts, by=by, card=TOYBOX) if hint.kind is Kind.CUT)
    assert {hint.part: texts[hint.part][slice(*hint.spans[0])] for hint in found} == cut
    assert all("Toybox reads 30 tokens" in hint.says for hint in found)
    assert all(("of both texts" in hint.says) == (by != "layered") for hint in found)


def test_a_text_of_the_bench_needs_no_hint() -> None:
    for case in held_out_cases(60):
        assert hints(case.subject, case.background, case.scope) == (), case


@settings(max_examples=60, deadline=None)
@given(subject=st.text(max_size=60), background=st.text(max_size=60), by=st.sampled_from(sorted(CATALOG)))
def test_no_text_is_too_strange(subject: str, background: str, by: str) -> None:
    for hint in hints(subject, background, by=by):
        text = {"subject": subject, "background": background}[hint.part]
        assert all(0 <= start < end <= len(text) for start, end in hint.spans)
        assert line(hint).startswith(f"--{hint.part}: ") and "\n" not in line(hint)


@pytest.mark.parametrize(
    "text",
    [
        " " * 999 + "x",
        "no " * 333,
        "( " * 500,
        "(" * 999,
        "[" * 999,
        "and " * 250,
        "," * 999,
        "make it " * 125,
        "a-" * 500,
        "x" * 999,
        "not with and " * 77,
        "<lora:" * 166,
        "-- " * 333,
        "\n" * 999,
        "é" * 999,
        "🦆" * 999,
        "no trees " + " " * 900,
        "remove it, make it red, " * 40,
    ],
)
def test_no_text_keeps_a_person_waiting(text: str) -> None:
    """A generous bound: nothing grows faster than the text."""
    began = time.perf_counter()
    hints(text, text, by="sdedit")
    assert time.perf_counter() - began < 3.0


def test_the_hints_come_without_the_libraries_of_the_engine(tmp_path: Path) -> None:
    import subprocess
    import sys

    asks = (
        "import sys; from pathlib import Path\n"
        "from pipelines.catalog import method; from pipelines.contract import Scope\n"
        "from pipelines.hints.texts import hints_of; from pipelines.hints.pictures import misfit\n"
        "from pipelines.models.folders import find_model\n"
        f"card = find_model('toybox', [Path({str(ASSETS / 'models')!r})])\n"
        "print(len(hints_of('a hat', 'no trees ' * 40, Scope.BOTH, method('sdedit'), card)))\n"
        "print(sorted({'torch', 'transformers', 'diffusers', 'safetensors'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    ran = subprocess.run([sys.executable, "-c", asks], cwd=root, capture_output=True, text=True, check=True)
    count, loaded = ran.stdout.split("\n")[:2]
    assert int(count) >= 3 and loaded == "[]"
