"""Instructions as people write them: what the rules make of each, and those that they do not understand."""

from __future__ import annotations

import pytest

from pipelines.instructions.description import adjectives, describe, doing, indefinite
from pipelines.instructions.split import split

UNDERSTOOD: list[tuple[str, str, list[tuple[str, str]]]] = [
    # what is known of the subject, what is said, (subject text, background text) turn by turn
    ("", "make the old man smile and replace the sky with a sunset",
     [("an old man smiling", "with a sunset in the sky")]),
    ("", "Turn the cat into a tiger", [("a tiger", "")]),
    ("a man", "give him a red hat", [("a man wearing a red hat", "")]),
    ("a man wearing a hat", "remove the hat", [("a man", "")]),
    ("a man", "remove his beard", [("a man without a beard", "")]),
    ("a man", "make his hair red, then make him jump",
     [("a man with red hair", ""), ("a man with red hair jumping", "")]),
    ("", "make the dog's tail longer", [("a dog with a long tail", "")]),
    ("", "make the horse gallop along the beach", [("a horse galloping", "along the beach")]),
    ("", "please put the woman in a red dress", [("a woman wearing a red dress", "")]),
    ("a woman", "put sunglasses on her", [("a woman wearing sunglasses", "")]),
    ("", "Could you make the car red, please? Then move it to the beach.", [("a red car", ""), ("", "on the beach")]),
    ("", "add a rainbow to the sky", [("", "with a rainbow in the sky")]),
    ("", "add mountains in the background", [("", "with mountains in the background")]),
    ("a dog", "add a hat and a scarf", [("a dog wearing a hat and a scarf", "")]),
    ("", "I want the dog to jump over a fence", [("a dog jumping over a fence", "")]),
    ("", "the dog should be smaller", [("a small dog", "")]),
    ("", "the sky should be purple", [("", "under a purple sky")]),
    ("", "change the colour of the car from red to blue", [("a blue car", "")]),
    ("", "change the car's colour to dark green", [("a dark green car", "")]),
    ("", "paint the house yellow; turn it upside down", [("a yellow house", ""), ("a yellow house upside down", "")]),
    ("", "a red sports car on the moon", [("a red sports car", "on the moon")]),
    ("a red sports car", "make the car blue", [("a blue sports car", "")]),
    ("", "make John smile and wave at the camera", [("John smiling and waving at the camera", "")]),
    ("", "let the astronaut moonwalk", [("an astronaut moonwalking", "")]),
    ("a dog", "turn day into night", [("", "at night")]),
    ("", "let it rain", [("", "in the rain")]),
    ("", "change the background to a snowy forest", [("", "in a snowy forest")]),
    ("", "change the background to Paris at night", [("", "in Paris at night")]),
    ("", "replace the background with a brick wall", [("", "with a brick wall in the background")]),
    ("", "blur the background", [("", "with a blurred background")]),
    ("", "make the background plain white", [("", "on a plain white background")]),
    ("a dog", "make it run, then sleep", [("a dog running", ""), ("a dog sleeping", "")]),
    ("a dog", "make it a bit bigger", [("a big dog", "")]),
    ("a dog wearing a hat", "replace the hat with a crown", [("a dog wearing a crown", "")]),
    ("a dog", "it should wear a red scarf and sunglasses", [("a dog wearing a red scarf and sunglasses", "")]),
    ("", "dress the man in a tuxedo and take him to a casino", [("a man wearing a tuxedo", "at a casino")]),
    ("", "make the girl older and give her blonde hair", [("an old girl", ""), ("an old girl with blonde hair", "")]),
    ("", "make the two dogs red", [("two red dogs", "")]),
    ("", "put the dog in a spaceship, wearing a helmet", [("a dog wearing a helmet", "in a spaceship")]),
    ("", "make the black and white cat sleep", [("a black and white cat sleeping", "")]),
    ("", "replace the dog with a unicorn and the background with a waterfall",
     [("a unicorn", "with a waterfall in the background")]),
    ("", "have the boy ride a bike in the park", [("a boy riding a bike", "in the park")]),
    ("", "remove the tree from the background", [("", "without a tree")]),
    ("", "change the colour of the car blue", [("a blue car", "")]),
    ("", "put the dog outside", [("", "outside")]),
    ("", "put the dog on the moon with a space helmet", [("a dog wearing a space helmet", "on the moon")]),
    ("a dog", "put it next to a tree", [("", "next to a tree")]),
    ("a dog", "set it on fire", [("a dog on fire", "")]),
    ("", "put the dog into a car", [("", "in a car")]),
    ("a man", "put glasses on his nose", [("a man wearing glasses", "")]),
    ("a dog", "put a tree behind it", [("", "with a tree in the background")]),
    ("", "put a rainbow in the sky", [("", "with a rainbow in the sky")]),
    ("a dog", "put it in a hat", [("a dog wearing a hat", "")]),
    ("", "add snow", [("", "with snow")]),
    ("", "remove the man's hat", [("a man without a hat", "")]),
    ("a woman in a blue dress", "remove the dress from her", [("a woman", "")]),
    ("a woman in a blue dress", "change her dress to a red suit", [("a woman wearing a red suit", "")]),
    ("a man", "replace his hat with a crown", [("a man wearing a crown", "")]),
    ("a man with a beard", "change the beard to a moustache", [("a man with a moustache", "")]),
    ("a woman", "give her long curly red hair", [("a woman with long curly red hair", "")]),
    ("a dog", "make the hat green", [("a dog wearing a green hat", "")]),
    ("", "the dog has a red hat", [("a dog wearing a red hat", "")]),
    ("a dog", "it should have blue eyes", [("a dog with blue eyes", "")]),
    ("", "I want a red car on the beach", [("a red car", "on the beach")]),
    ("a man", "with a hat", [("a man wearing a hat", "")]),
    ("", "with mountains in the background", [("", "with mountains in the background")]),
    ("", "outside", [("", "outside")]),
    ("", "a snowy forest", [("", "in a snowy forest")]),
    ("", "a fluffy grey wolf", [("a fluffy grey wolf", "")]),
    ("", "a dog and a cat on the beach", [("a dog and a cat", "on the beach")]),
    ("", "let the sun shine", [("", "with the sun shining")]),
    ("", "make the sky a sunset", [("", "with a sunset in the sky")]),
    ("", "make the mountains snowy", [("", "with snowy mountains")]),
    ("", "replace the mountains with skyscrapers", [("", "with skyscrapers")]),
    ("a dog", "make it jump over a fence and land in the snow",
     [("a dog jumping over a fence and landing", "in the snow")]),
    ("", "change the background to Kyoto", [("", "in Kyoto")]),
    ("", "make the colour of the car dark red", [("a dark red car", "")]),
    ("", "turn the sky pink", [("", "under a pink sky")]),
    ("a dark red car", "make it big", [("a big dark red car", "")]),
    ("a dog", "have it look at the stars", [("a dog looking at the stars", "")]),
    ("", "make the dog look like a wolf", [("a dog looking like a wolf", "")]),
    ("a dog", "make it fluffy and smile", [("a fluffy dog smiling", "")]),
    ("a dog", "put the subject in a boat", [("", "in a boat")]),
    ("a dog", "keep it small", [("a small dog", "")]),
]  # fmt: skip

NOT_UNDERSTOOD = [
    "make it blue",  # nobody knows yet what it is
    "remove the dog",  # a subject cannot be described away
    "remove the background",
    "make it look like a painting",  # the manner of the whole picture belongs to neither track
    "make the photo black and white",
    "move the dog to the left",  # a position in the frame
    "rotate the picture by 90 degrees",
    "crop the picture",
    "put a cat on the sofa",  # neither is known to be the subject
    "put the dog and the cat in a forest",  # two definite things after one verb
    "make the dog the same colour as the cat",
    "make the dog less blue",
    "swap the dog and the cat",
    "everything should be brighter",
    "write HAPPY BIRTHDAY on the sign",
    "zoom in on the dog",
    "faites sauter le chien",
    "undo that",
    "make the background his house",
    "make the sky full of stars",
    "put the dog on the left",
    "put the dog",
    "change her dress to a red suit",
    "give her",
    "take the dog for a walk",
    "have a nice day",
    "in the background",
    "a blue",
    "make " + "very " * 30 + "blue",
]


@pytest.mark.parametrize(("known", "instruction", "expected"), UNDERSTOOD, ids=[row[1] for row in UNDERSTOOD])
def test_open_text_is_understood(known: str, instruction: str, expected: list[tuple[str, str]]) -> None:
    answer = split(instruction, known)
    assert [(turn.subject, turn.background) for turn in answer.turns] == expected
    assert answer.unread == ()


@pytest.mark.parametrize("instruction", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_said_and_not_guessed(instruction: str) -> None:
    answer = split(instruction)
    assert answer.turns == ()
    assert answer.unread == (instruction,)


def test_a_clause_between_two_that_are_understood_is_left_out() -> None:
    answer = split("make the dog blue, frobnicate the widget, and put it in a forest")
    assert [(turn.subject, turn.background) for turn in answer.turns] == [("", "in a forest")]
    assert answer.unread == ("make the dog blue, frobnicate the widget",)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a big blue dog jumping", "a big blue dog jumping"),
        ("an old man with a hat smiling", "an old man with a hat smiling"),
        ("the dogs", "dogs"),
        ("three small dogs", "three small dogs"),
        ("the St. Bernard", "a St. Bernard"),
        ("a glass of water", "a glass of water"),
        ("my car", "a car"),
        ("Mona Lisa", "Mona Lisa"),
        ("a girl smiling and waving", "a girl smiling and waving"),
    ],
)
def test_a_description_taken_apart_and_said_again(text: str, again: str) -> None:
    assert str(describe(text.split())) == again


@pytest.mark.parametrize("text", ["", "the", "it", "a dog and a cat", "and", ","])
def test_what_is_no_description(text: str) -> None:
    assert describe(text.split()) is None


def test_attributes_that_exclude_each_other() -> None:
    words = "a big blue happy dog standing with a red hat"
    dog = describe(words.split())
    assert dog is not None
    assert str(dog.becoming(("small",))) == "a small happy blue dog standing with a red hat"
    assert str(dog.becoming(("dark green", "sad"))) == "a big sad dark green dog standing with a red hat"
    assert str(dog.doing("jumping")) == "a big blue happy dog with a red hat jumping"
    assert str(dog.doing("smiling")) == "a big blue happy dog standing with a red hat smiling"
    assert str(dog.having("with a green hat")) == "a big blue happy dog standing with a green hat"
    assert str(dog.losing("hat")) == "a big blue happy dog standing"


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("jump", "jumping"),
        ("smile", "smiling"),
        ("run", "running"),
        ("lie", "lying"),
        ("see", "seeing"),
        ("dye", "dyeing"),
    ],
)
def test_the_form_with_ing(verb: str, form: str) -> None:
    assert doing(verb) == form


@pytest.mark.parametrize(
    ("phrase", "article"),
    [("owl", "an"), ("dog", "a"), ("unicorn", "a"), ("uninvited guest", "an"), ("hour", "an"), ("one-eyed cat", "a"),
     ("Airbus", "an"), ("European", "a"), ("used car", "a"), ("umbrella", "an")],
)  # fmt: skip
def test_the_article_goes_by_the_sound(phrase: str, article: str) -> None:
    assert indefinite(phrase) == f"{article} {phrase}"


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ("bigger", ("big",)),
        ("big, dark blue and fluffy", ("big", "dark blue", "fluffy")),
        ("a little bit happier", ("happy",)),
        ("much more colourful", ("colourful",)),
        ("dark", ("dark",)),
        ("little and blue", ("little", "blue")),
        ("jump", None),
        ("slowly", None),
        ("<b>blue</b>", None),
    ],
)
def test_a_list_of_adjectives(said: str, units: tuple[str, ...] | None) -> None:
    assert adjectives(said.split()) == units
