"""Open text by rules: a verb of change, the thing it speaks of, what that becomes.

Every rule is a frame (``make X Y``, ``replace X with Y``, ``put X in Y``, ``let X do``); a frame whose parts are not
all understood gives ``None``, for nothing may be done that nobody asked. Where X ends and Y begins is found by trying
each place, so a clause may have `LONGEST_CLAUSE` words at most. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from pipelines.instructions import words as english
from pipelines.instructions.contract import Change
from pipelines.instructions.description import (
    Description,
    adjective,
    adjectives,
    describe,
    doing,
    indefinite,
    is_doing,
    is_plural,
    plain,
    refer,
)

LONGEST_CLAUSE = 30
"""Words; a person's clause has ten."""

_LONG_JOINTS = ("in front of", "on top of", "next to", "close to")

Words = Sequence[str]


def read(words: Words, known: Description | None, background: str = "") -> Change | None:
    """What a clause asks of the `known` subject and of `background`; ``None`` where it is not understood.

    A wish to keep something is understood and changes nothing.
    """
    low = [plain(word) for word in words]
    two_things = any(a == "and" and b in english.DEFINITE | english.POSSESSIVES for a, b in pairwise(low))
    if len(words) > LONGEST_CLAUSE or two_things or any(word in english.STYLE for word in low):
        return None
    return _Clause(words, known, background).read()


class _Clause:
    """One clause with what it may refer to. Every frame returns ``None`` for what is not of its form."""

    def __init__(self, words: Words, known: Description | None, background: str) -> None:
        self.words = list(words)
        self.low = [plain(word) for word in words]
        self.known = known
        self.background = background

    def read(self) -> Change | None:
        """The first frame that understands the whole clause."""
        verb, rest = self.low[0], self.words[1:]
        frames: list[tuple[frozenset[str], Callable[[Words], Change | None]]] = [
            (english.MAKE, self._make),
            (english.LET, self._let),
            (english.PAINT, self._paint),
            (english.TURN, self._turn),
            (english.REPLACE, self._replace),
            (english.PUT, self._put),
            (english.ADD, self._add),
            (english.REMOVE, self._remove),
            (english.KEEP, self._keep),
            (frozenset(("give",)), self._give),
            (frozenset(("dress",)), self._dress),
            (frozenset(english.STATES), self._state),
        ]
        for verbs, frame in frames:
            if verb in verbs and rest and (change := frame(rest)) is not None:
                return change
        if verb in english.OPENERS:
            return None
        return self._wish() or self._statement() or self._place_alone() or self._scene() or self._alone()

    # ------------------------------------------------------------------------------------------------ frames

    def _make(self, rest: Words) -> Change | None:
        """``make X Y``: Y an adjective, a verb, or what X becomes."""
        if _starts_with_colour(rest):
            return self._colour_of(rest)
        return next((change for thing, state in _halves(rest) if (change := self._becomes(thing, state))), None)

    def _let(self, rest: Words) -> Change | None:
        """``let X do``: any verb may follow a pronoun or a noun of one word, a known one any noun."""
        for thing, action in _halves(rest):
            short = len(thing) == 1 or (len(thing) == 2 and plain(thing[0]) in english.DEFINITE)
            open_verb = short and action[0].isalpha() and plain(thing[0]) not in ("her", "this", "that")
            certain = open_verb or plain(action[0]) in english.VERBS
            if certain and thing[0] == "the" and plain(thing[-1]) in english.SCENERY and not self._is_subject(thing):
                return self._beside(f"with {_acts(Description(' '.join(thing), counted=False), action)}")
            if not certain or not (it := self._refer(thing)):
                continue
            before, place = _with_place(action)
            if before:
                return Change(str(_acts(it, before)), place)
        return self._make(rest)

    def _paint(self, rest: Words) -> Change | None:
        """``paint X blue``."""
        for thing, state in _halves(rest):
            if adjectives(state) and (change := self._becomes(thing, state)):
                return change
        return None

    def _turn(self, rest: Words) -> Change | None:
        """``turn X into Y``, ``change X to Y``, ``change the colour of X to Y``, ``turn X blue``."""
        if _starts_with_colour(rest):
            return self._colour_of(rest)
        thing, to, state = _at(rest, ("into", "to", "for"))
        if not to:
            return self._make(rest)
        thing = _at(thing, ("from",))[0]  # what it was is seen in the picture
        return self._becomes(thing, state) or self._exchanged(thing, state)

    def _replace(self, rest: Words) -> Change | None:
        """``replace X with Y``: X the subject, something it has, the background or a part of that."""
        thing, with_, other = _at(rest, ("with", "by", "for"))
        return self._exchanged(thing, other) if with_ and other else None

    def _put(self, rest: Words) -> Change | None:
        """``put X in a place``, ``put a hat on X``, ``put mountains in the background``."""
        thing, preposition, where = _at(rest, (*english.PLACE_PREPOSITIONS, *english.TOWARDS, *_LONG_JOINTS, "to"))
        if not where:
            for held, state in _halves(rest):
                if plain(state[0]) == "upside" and (change := self._becomes(held, state)):
                    return change
            is_place = len(rest) > 1 and plain(rest[-1]) in english.ADVERBS_OF_PLACE
            return Change(background=rest[-1]) if is_place and self._could_be_subject(rest[:-1]) else None
        if change := self._addition(thing, preposition, where):
            return change
        if not self._could_be_subject(thing):
            return None
        owns = plain(where[-1]) in english.WORN | english.PARTS
        ends = (n for n, word in enumerate(where) if n and (is_doing(word) or (owns and plain(word) == "with")))
        until = next(ends, len(where))
        acts = where[until:]
        if preposition in ("in", "into") and not acts and plain(where[-1]) in english.WORN:
            it = self._refer(thing)
            return Change(str(it.having(" ".join(("wearing", *where))))) if it else None
        if plain(where[0]) in english.NOT_A_PLACE:
            it = self._refer(thing)
            return Change(str(it.doing(" ".join((preposition, *where))))) if it else None
        if preposition in ("to", "on", "at") and plain(where[-1]) in ("left", "right", "top", "bottom", "middle"):
            return None  # a position in the frame is no text: the subject is moved by hand
        place = _place((preposition, *where[:until])).rstrip(",")
        if not acts:
            return Change(background=place)
        it = self._refer(thing)
        if it and plain(acts[0]) == "with":
            owning = self._has(it, acts[1:])
            return owning and Change(owning.subject, place)
        return Change(str(_acts(it, acts)), place) if it else None

    def _add(self, rest: Words) -> Change | None:
        """``add a hat to X``, ``add mountains behind it``, and without a target what is known to belong to either."""
        thing, preposition, where = _at(rest, ("to", *_LONG_JOINTS, *english.PLACE_PREPOSITIONS))
        if preposition:
            return self._addition(thing, preposition, where)
        noun = plain(thing[-1])
        if noun in english.WORN | english.PARTS:
            return self._has(self.known, thing)
        in_background = noun in english.SCENERY | english.LANDMARKS
        return self._beside(" ".join(("with", *thing))) if in_background else None

    def _remove(self, rest: Words) -> Change | None:
        """``remove the hat (from X)``; the subject itself or the whole background is not removed by a text."""
        thing, _, where = _at(rest, ("from", "in", "on", "of"))
        if not thing or (where and plain(where[-1]) in english.SCENE | {"sky"}):
            return self._beside(_without(thing)) if thing else None
        noun = plain(thing[-1])
        owned = self._owned(thing)
        it = self._refer(where) if where else owned[0] if owned else self.known
        if it is None or it.called(noun):
            return None
        if it.has(noun):
            return Change(str(it.losing(noun)))
        own = where or owned or noun in english.WORN | english.PARTS
        return Change(str(it.having(_without(thing[-1:] if owned else thing)))) if own else None

    def _give(self, rest: Words) -> Change | None:
        """``give X Y``: X with Y."""
        for thing, gift in _halves(rest):
            starts = plain(gift[0]) in english.INDEFINITE | english.NUMBERS | english.POSSESSIVES
            known = plain(gift[-1]) in english.WORN | english.PARTS and (len(gift) == 1 or adjectives(gift[:-1]))
            if (starts or known) and (it := self._refer(thing)) and not _is_front_only(thing):
                return self._has(it, gift)
        return None

    def _dress(self, rest: Words) -> Change | None:
        """``dress X in a suit``, ``dress X as a pirate``."""
        thing, how, clothes = _at(rest, ("in", "as", "like"))
        it = self._refer(thing) if how and clothes else None
        return Change(str(it.having(" ".join(("wearing" if how == "in" else "dressed as", *clothes))))) if it else None

    def _keep(self, rest: Words) -> Change | None:
        """``keep the background (as it is)``: the studio keeps what no text speaks of."""
        low = [plain(word) for word in rest]
        kept = [word for word in low if word not in english.UNCHANGED | english.SCENE | english.SELF]
        if not kept or self._is_subject(kept):
            return Change()
        return None if self.low[0] == "without" else self._make(rest)

    def _state(self, rest: Words) -> Change | None:
        """``blur the background``, ``enlarge the dog``."""
        return self._becomes(rest, (english.STATES[self.low[0]],))

    def _wish(self) -> Change | None:
        """``I want the dog to jump``."""
        for wish in english.WISHES:
            if tuple(self.low[: len(wish)]) == wish:
                thing, to, state = _at(self.words[len(wish) :], ("to",))
                if to and state:
                    return self._becomes(thing, state)
                return _Clause(thing, self.known, self.background)._scene() if thing and not to else None
        return None

    def _statement(self) -> Change | None:
        """``the dog should jump``, ``the sky is red``, ``it becomes blue``."""
        thing, verb, state = _at(self.words, ("should", "must", "is", "are", "becomes", "become", "shall", "has"))
        if not thing or not verb or not state:
            return None
        if verb == "has" or plain(state[0]) == "have":
            it = self._refer(thing)
            return self._has(it, state[1:] if verb != "has" else state)
        return self._becomes(thing, state)

    def _place_alone(self) -> Change | None:
        """``in a forest``, ``at night``; ``with a hat`` is what the known subject has."""
        if self.low[0] in english.ADVERBS_OF_PLACE and len(self.words) == 1:
            return Change(background=self.words[0])
        if len(self.words) > 1 and self.low[0] in english.PLACE_PREPOSITIONS:
            whole = self.low[-1] in english.SCENE and self.low[1] not in english.INDEFINITE
            nowhere = self.low[1] in english.NOT_A_PLACE or whole
            return None if nowhere else Change(background=" ".join(self.words))
        if len(self.words) > 1 and self.low[0] == "with":
            if self.low[-1] in english.SCENE:
                return Change(background=" ".join(self.words))
            return self._has(self.known, self.words[1:])
        return None

    def _scene(self) -> Change | None:
        """``a blue dog jumping in a forest``: a whole description."""
        counted = self.low[0] in english.INDEFINITE | english.NUMBERS or self.low[0].isdigit()
        if not counted or len(self.words) < 2:
            return None
        said = describe(self.words)
        if said and adjective(said.noun):
            return None
        if said and plain(said.noun.split()[-1]) in english.PLACES:
            return Change(background=_place(self.words))
        for cut in range(2, len(self.words) - 1):
            if _is_place(self.words[cut:]):
                return Change(" ".join(self.words[:cut]).rstrip(","), " ".join(self.words[cut:]))
        if self.low[-1] in english.ADVERBS_OF_PLACE and len(self.words) > 2:
            return Change(" ".join(self.words[:-1]).rstrip(","), self.words[-1])
        return Change(" ".join(self.words))

    def _alone(self) -> Change | None:
        """``then sleep``, ``and bigger``: a verb or listed adjectives go on speaking of the known subject."""
        acts = self.low[0] in english.VERBS or is_doing(self.low[0])
        listed = all(adjective(word) in english.ADJECTIVES or word in english.DEGREES | {"and"} for word in self.low)
        became = _became(self.known, self.words) if self.known and (acts or listed) else None
        return Change(str(became)) if became else None

    # ----------------------------------------------------------------------------------------- what they share

    def _refer(self, thing: Words) -> Description | None:
        """Whom `thing` names, unless it is the background, a colour or somebody's."""
        if len(thing) > 1 and plain(thing[0]) in english.POSSESSIVES:
            return None
        if not thing or plain(thing[0]) in english.NOT_A_THING - english.PRONOUNS:
            return None
        if any(plain(word) in english.SCENE | {"colour", "color"} for word in thing):
            return None
        return refer(thing, self.known)

    def _could_be_subject(self, thing: Words) -> bool:
        """Whether `thing` may be put somewhere: an *it* not named yet too, but no new thing (``a cat``)."""
        return plain(thing[0]) in english.PRONOUNS | english.DEFINITE or thing[0][:1].isupper()

    def _is_subject(self, thing: Words) -> bool:
        low = [plain(word) for word in thing]
        noun = low[-1]
        return (
            (len(low) == 1 and noun in english.PRONOUNS)
            or noun in english.SELF
            or (self.known is not None and self.known.called(noun))
        )

    def _becomes(self, thing: Words, state: Words) -> Change | None:
        """`thing` in a new state, be it the background, a part of either track, or the subject."""
        if not thing or not state:
            return None
        low = [plain(word) for word in thing]
        while len(state) > 1 and plain(state[0]) in ("be", "look", "appear", "seem", "become", "to", "get", "turn"):
            if plain(state[0]) == "look" and plain(state[1]) in ("like", "at"):
                break
            state = state[1:]
        if low[-1] in english.SCENE or (low[-1] in ("it", *english.ATMOSPHERE) and _atmosphere(state)):
            return _behind(state)
        if owner_part := self._owned(thing):
            owner, part = owner_part
            return self._part_becomes(owner, part, state)
        if low[0] in english.DEFINITE and low[-1] in english.SCENERY and not self._is_subject(thing):
            return self._scenery_becomes(thing, state)
        it = self._refer(thing)
        if it is None or _is_front_only(thing):
            return None
        before, place = _with_place(state)
        if place and not before:
            return Change(background=place)
        became = _became(it, before)
        return Change(str(became), place) if became else None

    def _owned(self, thing: Words) -> tuple[Description, str] | None:
        """``his hair``, ``the dog's tail``: the owner and the part."""
        low = [plain(word) for word in thing]
        if len(low) == 2 and low[0] in english.POSSESSIVES and self.known:
            return self.known, thing[-1]
        if len(low) > 1 and low[-2].endswith(("'s", "s'")) and low[-1] not in english.SCENE:
            owner = self._refer((*thing[:-2], thing[-2].replace("’", "'").removesuffix("'s").removesuffix("'")))
            return (owner, thing[-1]) if owner else None
        if len(low) == 2 and low[0] == "the" and self.known and not self.known.called(low[1]):
            return (self.known, thing[-1]) if low[1] in english.PARTS | english.WORN else None
        return None

    def _part_becomes(self, owner: Description, part: str, state: Words) -> Change | None:
        if plain(part) in ("colour", "color"):
            units = adjectives(state)
            return Change(str(owner.becoming(units))) if units else None
        units = adjectives(state)
        return self._has(owner, (*units, part)) if units else None

    def _scenery_becomes(self, thing: Words, state: Words) -> Change | None:
        noun = thing[-1]
        units = adjectives(state)
        if not units:
            is_thing = plain(noun) == "sky" and adjective(state[0]) is None
            return Change(background=_sky(state)) if is_thing else None
        phrase = " ".join((*units, noun))
        phrase = phrase if is_plural(noun) or plain(noun) in english.MASS else indefinite(phrase)
        return self._beside(f"{'under' if plain(noun) == 'sky' else 'with'} {phrase}")

    def _colour_of(self, rest: Words) -> Change | None:
        """``the colour of X (to) blue``."""
        thing, to, state = _at(rest[3:] if plain(rest[0]) == "the" else rest[2:], ("to", "into"))
        if to:
            return self._becomes(_at(thing, ("from",))[0], state) if state and adjectives(state) else None
        return self._paint(thing)

    def _exchanged(self, thing: Words, other: Words) -> Change | None:
        """`other` in the place of `thing`."""
        if not thing or not other:
            return None
        low = [plain(word) for word in thing]
        if low[-1] in english.SCENE:
            return _behind(other)
        if low[-1] == "sky":
            return Change(background=_sky(other))
        if self.known and self.known.has(low[-1]):
            return self._has(self.known.losing(low[-1]), other)
        if owner_part := self._owned(thing):
            return self._has(owner_part[0], other)
        if low[0] in english.DEFINITE and low[-1] in english.SCENERY and not self._is_subject(thing):
            return self._beside(" ".join(("with", *other)))
        subject = describe(other)
        named = self._is_subject(thing) or (low[0] in english.DEFINITE and describe(thing) is not None)
        determined = plain(other[0]) in english.INDEFINITE | english.NUMBERS or (subject and is_plural(subject.noun))
        return Change(str(subject)) if subject and named and determined else None

    def _addition(self, thing: Words, preposition: str, where: Words) -> Change | None:
        """`thing` put to, on or behind something: to the subject, or into the background around it."""
        if not where:
            return None
        low, noun = [plain(word) for word in where], plain(thing[-1]) if thing else ""
        whole = " ".join(("with", *thing))
        if low[-1] in english.SCENE and low[0] not in english.INDEFINITE:
            return self._beside(f"{whole} in the background") if thing and not self._is_subject(thing) else None
        if low[-1] == "sky" and not self._is_subject(thing) and plain(thing[0]) not in english.DEFINITE:
            return self._beside(f"{whole} in the sky")
        indefinite_thing = plain(thing[0]) not in english.DEFINITE | english.PRONOUNS if thing else False
        if not indefinite_thing or self._is_subject(thing):
            return None
        if self._is_subject(where) or (low[0] in english.DEFINITE and noun in english.WORN | english.PARTS):
            if preposition not in ("to", "on", "in", "at"):
                return self._beside(" ".join((whole, "in the background")) if preposition == "behind" else whole)
            return self._has(self._refer(where), thing)
        if low[0] in english.POSSESSIVES and len(low) == 2:
            return self._has(self.known, thing)
        return None

    def _has(self, it: Description | None, thing: Words) -> Change | None:
        """The subject with `thing`, worn where that is what one does with it."""
        if it is None or not thing or plain(thing[-1]) in english.SCENE:
            return None
        noun = thing[-1]
        named = thing[1:] if plain(thing[0]) in english.POSSESSIVES | english.DEFINITE else thing
        if not named:
            return None
        bare = plain(named[0]) in english.INDEFINITE | english.NUMBERS or is_plural(noun) or plain(noun) in english.MASS
        phrase = " ".join(named) if bare else indefinite(" ".join(named))
        return Change(str(it.having(f"{'wearing' if plain(noun) in english.WORN else 'with'} {phrase}")))

    def _beside(self, addition: str) -> Change:
        """The background that is known, with something more."""
        return Change(background=f"{self.background} {addition}".strip())


# ------------------------------------------------------------------------------------------------------- pieces


def _halves(rest: Words) -> Iterator[tuple[Words, Words]]:
    """Every way to cut `rest` into the thing spoken of and what is said of it.

    A pronoun stands alone. The shortest thing comes first, but those that end in an adjective (``the old`` of *the old
    man*) come last and longest first, for some nouns look like one.
    """
    low = [plain(word) for word in rest]
    if low[0] in english.PRONOUNS and len(rest) > 1:
        yield rest[:1], rest[1:]
        if low[0] not in ("this", "that", "her"):
            return
    first = 2 if low[0] in english.DEFINITE | english.INDEFINITE | english.POSSESSIVES else 1
    cuts = range(first, len(rest))
    doubtful = [cut for cut in cuts if adjective(rest[cut - 1])]
    for cut in (*(cut for cut in cuts if cut not in doubtful), *reversed(doubtful)):
        yield rest[:cut], rest[cut:]


def _starts_with_colour(rest: Words) -> bool:
    low = [plain(word) for word in rest[:4]]
    return len(low) == 4 and any(pair in (("colour", "of"), ("color", "of")) for pair in pairwise(low[:3]))


def _is_front_only(thing: Words) -> bool:
    """``the old``: words that stand before a noun, without one."""
    return len(thing) > 1 and plain(thing[-1]) in english.ADJECTIVES | {"and"}


def _at(rest: Words, joints: Sequence[str]) -> tuple[Words, str, Words]:
    """`rest` around the first of `joints`, as `str.partition` does it."""
    low = [plain(word) for word in rest]
    for place in range(1, len(low)):
        for joint in (joint.split() for joint in joints if " " in joint):
            if low[place : place + len(joint)] == joint:
                return rest[:place], " ".join(joint), rest[place + len(joint) :]
        if low[place] in joints:
            return rest[:place], low[place], rest[place + 1 :]
    return rest, "", ()


def _became(it: Description, state: Words) -> Description | None:
    """`it` as something else (``a cat``), with adjectives, or doing something."""
    if units := adjectives(state):
        return it.becoming(units)
    if plain(state[0]) in english.INDEFINITE | english.NUMBERS:
        return describe(state)
    if plain(state[0]) in english.DEFINITE | english.POSSESSIVES:
        return None
    if plain(state[0]) in english.PLACE_PREPOSITIONS and len(state) > 1 and plain(state[1]) in english.NOT_A_PLACE:
        return it.doing(" ".join(state))  # ``on its head``
    if not (_is_verb(state[0]) or adjective(state[0])):
        return None
    for part in _parts(state):
        if units := adjectives(part):
            it = it.becoming(units)
        elif _is_verb(part[0]):
            it = _acts(it, part)
        else:
            return None
    return it


def _is_verb(word: str) -> bool:
    return plain(word) in english.VERBS or plain(word) == "upside" or is_doing(word)


def _parts(state: Words) -> list[list[str]]:
    """``smile and wave`` -> both; what follows *and* stays with the verb unless a verb or adjective begins there."""
    parts: list[list[str]] = [[]]
    for place, word in enumerate(state):
        following = state[place + 1] if place + 1 < len(state) else ""
        begins = _is_verb(following) or adjective(following) is not None
        if plain(word) == "and" and parts[-1] and following and begins:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _acts(it: Description, action: Words) -> Description:
    """`it` doing `action`, whose verbs may be bare: ``smile and wave`` -> smiling and waving."""
    for part in _parts(action):
        first, rest = part[0], part[1:]
        verb = first if plain(first) == "upside" or is_doing(first) else doing(first)
        if plain(verb) == "wearing" and rest:
            it = it.having(" ".join((verb, *rest)))
        else:
            it = it.doing(" ".join((verb, *rest)))
    return it


def _is_place(words: Words) -> bool:
    """``in the dark forest``, ``at night``: a preposition and something that is a place, or *on a/the* anything."""
    first, last = plain(words[0]), plain(words[-1])
    if first not in english.PLACE_PREPOSITIONS or len(words) < 2 or last in english.WORN | english.PARTS:
        return False
    return plain(words[1]) not in english.NOT_A_PLACE


def _with_place(state: Words) -> tuple[Words, str]:
    """An action or state and the known place at its end: ``jump in the forest`` changes both tracks."""
    usual = english.PLACES.get(plain(state[-1]))
    for place in range(len(state) - 2, -1, -1):
        preposition = plain(state[place])
        if preposition in english.PLACE_PREPOSITIONS:
            aimed = preposition == "at" != usual  # ``look at the stars``
            known = usual is not None and not aimed and _is_place(state[place:])
            return (state[:place], " ".join(state[place:])) if known else (state, "")
    return state, ""


def _atmosphere(state: Words) -> str:
    low = [plain(word) for word in state if plain(word) not in ("a", "the", "an", "time")]
    return english.ATMOSPHERE.get(low[0], "") if len(low) == 1 else ""


def _behind(state: Words) -> Change | None:
    """A background from what it is said to be: a place, a colour, anything else *in the background*."""
    if plain(state[0]) in english.POSSESSIVES | english.PRONOUNS | english.NOT_A_THING:
        return None
    if units := adjectives(state):
        phrase = indefinite(" ".join((*units, "background")))
        plain_colour = all(plain(word) in english.COLOURS | {"plain"} for unit in units for word in unit.split()[-1:])
        return Change(background=_atmosphere(state) or f"{'on' if plain_colour else 'with'} {phrase}")
    return Change(background=_place(state))


def _sky(state: Words) -> str:
    """What the sky becomes: ``under a starry sky``, ``with a sunset in the sky``."""
    said = " ".join(state)
    return f"under {said}" if plain(state[-1]) in ("sky", "clouds", "stars") else f"with {said} in the sky"


def _place(words: Words) -> str:
    """A place with the preposition it follows: ``the beach`` -> on the beach, ``to the beach`` too."""
    first, noun = plain(words[0]), plain(_at(words, tuple(english.PLACE_PREPOSITIONS))[0][-1])
    if first in english.TOWARDS:
        return " ".join((english.TOWARDS[first], *words[1:]))
    if first in english.PLACE_PREPOSITIONS:
        return " ".join(words)
    if first in _LONG_JOINTS:
        return " ".join(words)
    if first in english.ADVERBS_OF_PLACE and len(words) == 1:
        return words[0]
    if first == "to":
        return " ".join((english.PLACES.get(noun, "in" if words[1][:1].isupper() else "at"), *words[1:]))
    if atmosphere := _atmosphere(words):
        return atmosphere
    if noun in english.PLACES:
        return " ".join((english.PLACES[noun], *words))
    if words[0][:1].isupper():
        return " ".join(("in", *words))
    return f"with {' '.join(words)} in the background"


def _without(thing: Words) -> str:
    """``the hat`` -> without a hat."""
    own = english.DEFINITE | english.POSSESSIVES
    named = thing[1:] if len(thing) > 1 and (plain(thing[0]) in own or plain(thing[0]).endswith("'s")) else thing
    said = " ".join(named)
    single = not is_plural(named[-1]) and plain(named[-1]) not in english.MASS and plain(named[0]) != "any"
    return f"without {indefinite(said) if single and plain(named[0]) not in english.INDEFINITE else said}"
