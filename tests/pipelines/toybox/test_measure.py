"""What the model card's figures count."""

import random

from pipelines.toybox.measure import shares_said
from pipelines.toybox.scene import UNSAID, Scene, Subject, training_caption
from pipelines.toybox.words import Attributes, read


def test_only_what_was_said_is_counted() -> None:
    said = [Attributes(subject="dog", size="big"), Attributes(subject="cat"), Attributes(subject="car")]
    seen = [
        Attributes(subject="dog", size="small", colour="red"),
        Attributes(subject="cat", size="small"),
        Attributes(subject="apple"),
    ]
    assert shares_said(said, seen) == {"subject": 2 / 3, "size": 0.0}


def test_captions_say_nothing_false_and_leave_details_out_as_often_as_stated() -> None:
    scene = Scene("forest", Subject("dog", "blue", "big", "jumping"))
    rng = random.Random(0)
    said = [read(training_caption(scene, rng)) for _ in range(4000)]
    truth = {"subject": "dog", "colour": "blue", "size": "big", "action": "jumping", "background": "forest"}
    for name, value in truth.items():
        assert {getattr(s, name) for s in said} <= {value, None}
    for name, share in UNSAID.items():
        unsaid = sum(getattr(s, name) is None for s in said) / len(said)
        assert abs(unsaid - share) < 0.03  # three deviations of a mean of 4,000
    assert all(s.subject == "dog" for s in said)
