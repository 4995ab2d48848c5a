"""What a subject's new text leaves open and its picture shows: size, colour and pose, said as well.

A text that only says ``a pink giraffe`` asks for any pink giraffe, also a small one upside down. A person means this
giraffe. No torch here: what the picture shows is read by `pipelines.toybox.seen`.
"""

from __future__ import annotations

from pipelines.contract import Motion
from pipelines.instructions.description import describe
from pipelines.toybox.render import JUMP, SIZE
from pipelines.toybox.words import NATURAL, SIZES, Attributes, read


def with_what_stays(text: str, seen: Attributes) -> str:
    """`text` with the words for what is `seen` of the subject and spoken of by nobody; itself where that is nothing.

    A thing keeps its colour as long as it stays that thing: of a red dog nobody could say which colour the cat should
    have. A medium size, standing and the natural colour have no words.
    """
    described = describe(text.split())
    if described is None or described.is_many:
        return text
    said, fuller = read(text), described
    if seen.size is not None and said.size is None and SIZES[seen.size]:
        fuller = fuller.becoming((SIZES[seen.size][0],))
    becomes_another = seen.subject is not None and not described.called(seen.subject)
    if not becomes_another and seen.colour not in (None, NATURAL) and said.colour is None:
        fuller = fuller.becoming((str(seen.colour),))
    if seen.action not in (None, "standing") and said.action is None:
        fuller = fuller.doing(str(seen.action))
    return text if fuller == described else str(fuller)


def motion_towards(text: str, seen: Attributes) -> Motion | None:
    """What brings a subject out of the pose that is `seen` into the one that `text` says; ``None`` where that is the
    same one, or one of the two is not known."""
    said = read(text).action
    if said is None or seen.action is None or said == seen.action:
        return None
    over = (said == "upside down") != (seen.action == "upside down")
    return Motion(over, ((said == "jumping") - (seen.action == "jumping")) * JUMP / SIZE)
