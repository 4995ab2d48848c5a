"""What a person writes is read as it is meant, and refused in a sentence where it means nothing here."""

import pytest

from pipelines.compose.instructions import read_instruction, read_script
from pipelines.compose.world import Depth, Instruction, Relation, Side, Thing, story
from pipelines.errors import BadRequest

CUBE, BALL, TUBE = Thing("red", "cube"), Thing("blue", "sphere"), Thing("green", "cylinder")
THERE = [BALL, TUBE]


def test_what_the_world_says_is_read_back() -> None:
    for number in range(50):
        told = story("test", number).instructions
        assert read_script("\n".join(map(str, told))) == list(told)


@pytest.mark.parametrize(
    ("line", "relations"),
    [
        ("add a red cube behind the blue sphere and left of it", [Relation(BALL, Depth.BEHIND, Side.LEFT)]),
        ("Put the red block to the left of, and behind, the blue ball.", [Relation(BALL, Depth.BEHIND, Side.LEFT)]),
        ("a red cube in front of the blue sphere", [Relation(BALL, Depth.FRONT)]),
        ("add a red cube on the right of it", [Relation(TUBE, side=Side.RIGHT)]),
        (
            "add a red cube behind the blue sphere, and in front of the green cylinder and on its right side of it",
            [Relation(BALL, Depth.BEHIND), Relation(TUBE, Depth.FRONT, Side.RIGHT)],
        ),
    ],
)
def test_other_words_for_the_same(line: str, relations: list[Relation]) -> None:
    found = read_instruction(line, THERE, THERE[-1])
    assert found.thing == CUBE
    assert set(found.relations) == set(relations)


def test_the_first_one_goes_to_the_centre() -> None:
    assert read_instruction("Add a gray cylinder in the middle", []) == Instruction(Thing("grey", "cylinder"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("add a banana", "'banana' names nothing of this world"),
        ("make it rain", "'make' names nothing"),
        ("add a cube behind the blue sphere", "a cube needs a colour; choose from red, blue"),
        ("add a red cube behind the yellow cube", "there is no yellow cube to be behind; found the blue sphere, the g"),
        ("add a blue sphere behind the green cylinder", "there is a blue sphere already"),
        ("add a red cube behind", '"behind" needs a solid'),
        ("add a red cube", "'red cube' needs a place"),
        ("add a red cube and a yellow cube", "an instruction adds one solid; got a second one, yellow cube"),
        ("add a red cube behind it", '"it" needs a solid to stand for; name the one that is meant'),
        ("behind the blue sphere", "nothing of this world is added"),
        ("add", "nothing of this world is added"),
        ("add a red cube behind the red cube", "nothing of this world is added"),
    ],
)
def test_what_means_nothing_is_refused(line: str, said: str) -> None:
    with pytest.raises(BadRequest, match="^" + said.replace("(", "[(]")):
        read_instruction(line, THERE)


def test_where_nobody_knows_what_is_there_the_words_alone_are_checked() -> None:
    assert read_instruction("add a red cube behind the yellow cube", None).relations[0].to == Thing("yellow", "cube")
    with pytest.raises(BadRequest, match="names nothing of this world"):
        read_instruction("add a banana", None)


def test_a_script_says_which_line_is_wrong() -> None:
    with pytest.raises(BadRequest, match=r"^line 3: there is no green cube to be left of; found the red cube"):
        read_script("add a red cube\n\nadd a blue cube left of the green cube\n")
    with pytest.raises(BadRequest, match=r"^there is no instruction; write one a line"):
        read_script("\n  \n")
