"""Writes into the cards of the embedded painters what they were made for: ``python -m pipelines.toybox.card``.

The words are those of `pipelines.toybox.words`, which the captions of their training were made of, and the pictures are
those of `pipelines.toybox.render`. Whoever changes either runs this again; a test compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipelines.models.configs import read_json
from pipelines.toybox import words

MODELS = Path(__file__).resolve().parents[2] / "assets" / "models"
ORDERS = [["make", "paint"], ["put"], ["turn", "into"], ["add"], ["it"], ["now"], ["instead"], ["and", "then"]]
"""What the instructions say beside what captions do; see `pipelines.toybox.triples`."""
PAINTERS: dict[str, list[list[str]]] = {
    "toybox": [],
    "toybox-few-steps": [],
    "toybox-inpaint": [],
    "toybox-instruct": ORDERS,
}
"""The folders whose cards are written, and what each was told beside captions."""
PICTURES: dict[str, Any] = {"made_for": "flat drawings of its own small world", "smooth": 0.5}
"""Of 100 scenes as they are drawn, as an edit leaves them and as JPEG files, none is less smooth."""


def vocabulary(beside: list[list[str]]) -> dict[str, list[list[str]]]:
    """Every word and phrase that the captions say, and those `beside` them; those of one meaning together."""
    return {
        "subject": _groups(words.SUBJECTS),
        "colour": _groups(words.COLOURS),
        "size": _groups(words.SIZES),
        "action": _groups(words.ACTIONS),
        "background": [
            list(dict.fromkeys(words.BACKGROUNDS[place] + words.PLACES[place])) for place in words.BACKGROUNDS
        ],
        "also": [["a", "an", "the"], ["empty"], *beside],
    }


def _groups(table: dict[str, tuple[str, ...]]) -> list[list[str]]:
    return [list(forms) for forms in table.values() if forms]


def write(card: Path, beside: list[list[str]]) -> None:
    """Put both into the file `card`, beside what else it says."""
    said = read_json(card) | {"vocabulary": vocabulary(beside), "pictures": PICTURES}
    text = json.dumps(said, indent=2, ensure_ascii=False)
    # One meaning a line: a list of words as a column would be hundreds of lines.
    card.write_text(re.sub(r"\[\s+((?:\"[^\"]*\",?\s*)+)\]", _on_one_line, text) + "\n", encoding="utf-8")


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


if __name__ == "__main__":
    for painter, told in PAINTERS.items():
        write(MODELS / painter / "card.json", told)
