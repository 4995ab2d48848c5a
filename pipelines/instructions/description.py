"""A subject's description as a value: ``a big blue dog jumping`` taken apart, changed and said again.

Attributes accumulate: a new colour takes the old one's place, whatever else was said stays. This is shallow English, a
noun phrase with what stands before and after its noun; no torch here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.instructions import words as english

_SAID_LIKE_YOU = re.compile(r"uni(?!n|m)|eu|one\b|us(?:e|u)", re.I)
_SILENT_H = re.compile(r"hour|hono|honest|heir", re.I)
_WITH = ("with", "wearing", "without", "holding")
_AFTER = frozenset(_WITH) | {"upside", "of", "who", "that", "which", "like", "from", "to"} | english.PLACE_PREPOSITIONS


def plain(word: str) -> str:
    """`word` as the tables hold it: lower case, a straight apostrophe, no comma behind it."""
    return word.lower().rstrip(",").replace("’", "'")


def indefinite(phrase: str) -> str:
    """`phrase` with *a* or *an* in front, by how its first word sounds."""
    if _SAID_LIKE_YOU.match(phrase):
        return f"a {phrase}"
    return f"an {phrase}" if _SILENT_H.match(phrase) or phrase[0] in "aeiouAEIOU" else f"a {phrase}"


def is_plural(noun: str) -> bool:
    """Whether `noun` goes without *a*, as far as its letters tell."""
    noun = plain(noun.split()[-1])
    return noun in english.PLURALS or (noun.endswith("s") and not noun.endswith(("ss", "us", "is", "'s")))


def is_doing(word: str) -> bool:
    """Whether `word` is a verb with -ing."""
    word = plain(word)
    return len(word) > 4 and word.endswith("ing") and word not in english.NOT_DOING


def doing(verb: str) -> str:
    """The -ing form of a verb: ``jump`` jumping, ``smile`` smiling, ``run`` running, ``lie`` lying."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if verb.lower() in english.DOUBLED else verb + "ing"


def _comparatives() -> dict[str, str]:
    """``bigger`` -> ``big``, for every short adjective that the rules know."""
    forms = {}
    for adjective in english.ADJECTIVES:
        if adjective.endswith("e"):
            forms[adjective + "r"] = adjective
        elif adjective.endswith("y"):
            forms[adjective[:-1] + "ier"] = adjective
        else:
            forms[adjective + "er"] = adjective
            forms[adjective + adjective[-1] + "er"] = adjective
    return {form: adjective for form, adjective in forms.items() if form not in english.ADJECTIVES}


_COMPARATIVES = _comparatives()


_NOUNS = (
    english.PARTS
    | english.WORN
    | english.STYLE
    | english.SCENERY
    | english.LANDMARKS
    | english.SCENE
    | frozenset(english.PLACES)
    | english.THINGS
)


def adjective(word: str) -> str | None:
    """`word` if it is an adjective (a comparative as its positive: ``bigger`` is *big*), else ``None``.

    One that no list holds is known by its ending, unless a list holds it as something else.
    """
    known = plain(word)
    if known in _COMPARATIVES:
        return _COMPARATIVES[known]
    if known in english.ADJECTIVES:
        return word.rstrip(",")
    ends_so = known.endswith(english.ADJECTIVE_ENDINGS) and known.isalpha() and known not in english.ADJECTIVE_ENDINGS
    ends_so &= len(known) > 3 and not known.endswith("ly")
    return word.rstrip(",") if ends_so and known not in english.VERBS | _NOUNS else None


def adjectives(said: Sequence[str]) -> tuple[str, ...] | None:
    """A list of adjectives (``big, dark blue and fluffy``) as units, or ``None`` where a word is none."""
    left = _unhedged(said)
    units: list[str] = []
    degree: list[str] = []
    for place, word in enumerate(left):
        last = place == len(left) - 1
        if plain(word) == "and" and units and not degree and not last:
            continue
        if plain(word) in english.DEGREES and not last and adjective(left[place + 1]):
            degree.append(word)
        elif unit := adjective(word):
            units.append(" ".join((*degree, unit)))
            degree = []
        else:
            return None
    return tuple(units) or None


def thing_and_place(said: str) -> tuple[str, str]:
    """A caption's thing and where it is, from the first preposition of a place on: ``a cat in the snow``."""
    words = said.split()
    for place, word in enumerate(words[:-1]):
        if plain(word) in english.PLACE_PREPOSITIONS and plain(words[place + 1]) not in english.NOT_A_PLACE:
            return " ".join(words[:place]), " ".join(words[place:])
    return " ".join(words), ""


def _unhedged(said: Sequence[str]) -> list[str]:
    """Without *a bit*, *much more* and the like in front, unless they are themselves the first of a list."""
    left, low = list(said), [plain(word) for word in said]
    while hedge := next((h for h in english.HEDGES if tuple(low[: len(h)]) == h and low[len(h) :]), None):
        if low[len(hedge)] == "and":
            break
        left, low = left[len(hedge) :], low[len(hedge) :]
    return left


def _kind(unit: str) -> int:
    """0 size, 1 anything else, 2 colour: the order in which English says them."""
    word = plain(unit.split()[-1])
    return 0 if word in english.SIZES else 2 if word in english.COLOURS else 1


def _excludes(new: str, old: str) -> bool:
    a, b = plain(new.split()[-1]), plain(old.split()[-1])
    same_kind = _kind(new) == _kind(old) != 1
    return a == b or same_kind or any(a in group and b in group for group in english.OPPOSITES)


def _same_thing(a: str, b: str) -> bool:
    """Whether two nouns are the same or synonyms."""
    a, b = plain(a.split()[-1]), plain(b.split()[-1])
    return a == b or any(a in group and b in group for group in english.SYNONYMS)


@dataclass(frozen=True)
class Description:
    """A noun phrase: ``(a) front noun after``; each of `after` is a phrase like ``jumping`` or ``with red hair``."""

    noun: str
    front: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    counted: bool = True
    """Whether it takes *a* or *an*."""

    def __str__(self) -> str:
        head = " ".join((*self.front, self.noun))
        return " ".join((indefinite(head) if self.counted else head, *_joined(self.after)))

    @property
    def is_many(self) -> bool:
        """Whether it is said to be more than one."""
        return is_plural(self.noun) or any(_counts(unit) for unit in self.front)

    def called(self, noun: str) -> bool:
        return _same_thing(noun, self.noun)

    def becoming(self, units: Sequence[str]) -> Description:
        """With these adjectives, each in place of what it excludes, sizes first and colours last."""
        front = [old for old in self.front if not any(_excludes(new, old) for new in units)]
        return replace(self, front=tuple(sorted((*front, *units), key=_kind)))

    def doing(self, action: str) -> Description:
        """With ``jumping over a fence``; a posture takes the place of the one before, other actions add up."""
        first = plain(action.split()[0])
        posture = first in english.POSTURES or action.startswith("on ")
        kept = (
            phrase
            for phrase in self.after
            if phrase != action
            and not (posture and (plain(phrase.split()[0]) in english.POSTURES or phrase[:3] == "on "))
        )
        return replace(self, after=(*kept, action))

    def having(self, phrase: str) -> Description:
        """With ``with red hair``; what it had of the same noun, or was said to be without, is replaced."""
        noun = plain(phrase.split()[-1])
        return replace(self, after=(*self.losing(noun).after, phrase))

    def has(self, noun: str) -> bool:
        return any(_speaks_of(phrase, noun) for phrase in self.after)

    def losing(self, noun: str) -> Description:
        """Without the phrases that speak of `noun`."""
        return replace(self, after=tuple(phrase for phrase in self.after if not _speaks_of(phrase, noun)))


def _speaks_of(phrase: str, noun: str) -> bool:
    first, *rest = phrase.split()
    said = [plain(word) for word in rest]
    return (first in _WITH or (first == "in" and said[-1:] == [plain(noun)])) and plain(noun) in said


def _joined(after: Sequence[str]) -> list[str]:
    """Neighbours of one sort said together: ``wearing a hat and a scarf``, ``smiling and waving``."""
    said: list[str] = []
    for phrase in after:
        first, _, rest = phrase.partition(" ")
        before = said[-1].split(" ", 1)[0] if said else ""
        if first in _WITH and before == first:
            said[-1] += f" and {rest}"
        elif first not in _WITH and said and before not in _WITH and is_doing(first) and is_doing(before):
            said[-1] += f" and {phrase}"
        else:
            said.append(phrase)
    return said


def describe(said: Sequence[str]) -> Description | None:
    """Take a noun phrase apart; ``None`` where it has no noun."""
    left = [word for word in said if plain(word)]
    determiner = plain(left[0]) if left else ""
    if determiner in english.DEFINITE | english.INDEFINITE and len(left) > 1:
        left.pop(0)
    else:
        determiner = ""
    end = _end_of_head(left)
    head, tail = left[:end], left[end:]
    if not head or plain(head[-1]) in english.PRONOUNS | english.DEFINITE | english.INDEFINITE | {"and"}:
        return None
    if any(plain(word) == "and" and not (place and adjective(head[place - 1])) for place, word in enumerate(head)):
        return None  # two things
    if any(plain(word) in english.NOT_A_THING - {"and"} for word in head):
        return None
    start = len(head) - 1
    while start > 0 and _is_of_noun(head[start - 1]):
        start -= 1
    noun = " ".join(head[start:]).rstrip(",")
    many = is_plural(noun) or _counts(head[0]) or plain(noun) in english.MASS
    counted = determiner in english.INDEFINITE or (bool(determiner) and not many)
    return Description(noun, _units(head[:start]), _phrases(tail), counted)


def _counts(word: str) -> bool:
    return plain(word) in english.NUMBERS or word.isdigit()


def _is_of_noun(word: str) -> bool:
    """Whether `word`, standing before a noun, is part of it: ``sports car``, ``St. Bernard``."""
    degree = plain(word) in english.DEGREES or plain(word) == "and"
    return not (degree or word.endswith(",") or adjective(word) or is_doing(word) or _counts(word))


def _end_of_head(left: Sequence[str]) -> int:
    """Where the noun ends: before the first word that can only stand behind it."""
    for place, word in enumerate(left):
        behind = plain(word) in _AFTER or (is_doing(word) and adjective(left[place - 1]) is None)
        if place > 0 and behind:
            return place
    return len(left)


def _units(front: Sequence[str]) -> tuple[str, ...]:
    units: list[str] = []
    degree: list[str] = []
    for place, word in enumerate(front):
        if plain(word) in english.DEGREES and place < len(front) - 1:
            degree.append(word)
        else:
            units.append(" ".join((*degree, word)))
            degree = []
    return tuple(units)


def _phrases(tail: Sequence[str]) -> tuple[str, ...]:
    """What follows the noun, cut before each *with*, *wearing* or -ing; prepositions stay with what they follow."""
    phrases: list[list[str]] = []
    for word in tail:
        lone_and = phrases and phrases[-1][-1] == "and"
        if not phrases or plain(word) in (*_WITH, "upside") or is_doing(word):
            if lone_and:
                phrases[-1].pop()
            phrases.append([word])
        else:
            phrases[-1].append(word)
    return tuple(" ".join(phrase) for phrase in phrases if phrase)


def refer(said: Sequence[str], known: Description | None) -> Description | None:
    """Whom a clause speaks of: *it* is the known subject, ``the big dog`` that dog (now big) if it is the known one.

    ``None`` where a pronoun stands for nobody yet, or `said` is no noun phrase.
    """
    if len(said) == 1 and plain(said[0]) in english.PRONOUNS:
        return known
    if len(said) == 2 and plain(said[0]) == "the" and plain(said[1]) in english.SELF:
        return known
    named = describe(said)
    if named is None or known is None or not known.called(named.noun):
        return named
    return replace(known.becoming(named.front), after=(*known.after, *(p for p in named.after if p not in known.after)))
