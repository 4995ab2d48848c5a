"""The hints to the two texts of a turn, for the method and the model that it is to be run with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipelines.catalog import Method
from pipelines.contract import Scope
from pipelines.hints.contract import Fix, Hint, Kind, Said, Span
from pipelines.hints.phrasing import left_out, negations, notations, orders
from pipelines.hints.tokens import text_reader
from pipelines.hints.unknown import exchanged, nearest, says_any, unknown_in, usual_forms, usual_under
from pipelines.instructions import words as english
from pipelines.instructions.description import plain
from pipelines.instructions.split import split_by_rules
from pipelines.models.domain import Vocabulary
from pipelines.models.folders import ModelCard
from pipelines.requests import LONGEST_TEXT

MOST_HINTS = 12
"""Of one text, and words in one hint; whoever gets as many has read enough."""
MOST_OFFERED = 3
"""Known words that are offered for one that is unknown."""
MOST_FIXES = 4
"""The same for several, of which each gets one at most."""
MOST_LISTED = 4
"""Unknown words that a sentence names."""
TO_INSTRUCTION = Said("Say it as an instruction")
LEAVE_OUT = Said("Leave it out")
PARTS = {"subject": Said("the subject"), "background": Said("the background")}
NEGATIVE = "negative"

Texts = Mapping[str, str]
"""``subject`` and ``background``, without a part that stays as it is."""


def hints_of(
    subject: str,
    background: str,
    scope: Scope,
    method: Method,
    card: ModelCard | None,
    said: tuple[str, str] = ("", ""),
) -> tuple[Hint, ...]:
    """What is to be said of the texts, in the order in which they stand. Nothing is loaded, and nothing raised.

    `card` is the model's, where there is one. `said` are the last texts on the branch, which *it* in an instruction
    stands for.
    """
    texts = {"subject": subject, "background": background}
    if not method.needs_model:
        return tuple(
            Hint(
                Kind.IDLE,
                part,
                (),
                Said("{method} does not read this text: it has no effect, and stays for later.", method=method.title),
            )
            for part, text in texts.items()
            if text.strip() and part not in method.reads
        )
    texts = {part: text[:LONGEST_TEXT] for part, text in texts.items() if scope in (Scope.BOTH, part)}
    found: list[Hint] = []
    cut = [] if card is None else [*_cut(texts, method, card)]
    for part in texts:
        spoken = [] if method.instructs else [*_phrasing(texts, part, said)]
        spoken += _notation(texts, part)
        vocabulary = None if card is None or method.instructs else card.domain.vocabulary
        if card is not None and vocabulary is not None:
            # Of words that are marked for another reason, or that nobody reads, there is no more to say.
            marked = [span for hint in (*spoken, *cut) if hint.part == part for span in hint.spans]
            spoken += _unknown(texts, part, card.title, vocabulary, marked)
        found += sorted(spoken, key=lambda hint: hint.spans)[:MOST_HINTS]
        found += [hint for hint in cut if hint.part == part]
    return tuple(found)


def hints_of_negative(text: str, card: ModelCard | None, guidance: float | None) -> tuple[Hint, ...]:
    """The same of what is to be kept out: another program's notation, where the model stops reading it, and whether
    anything is led away from at all: that is `guidance`'s doing, where the method has that setting.

    It names what must not be there, so that it names it is no fault.
    """
    text = text[:LONGEST_TEXT]
    if text.strip() and guidance == 1:
        says = Said("With a guidance of 1 nothing is led away from: this has no effect.")
        return (Hint(Kind.IDLE, NEGATIVE, (), says),)
    found = [*_notation({NEGATIVE: text}, NEGATIVE)][:MOST_HINTS]
    reader = None if card is None else text_reader(card)
    start = None if reader is None else reader.unread_from(text)
    if card is not None and reader is not None and start is not None:
        end = len(text.rstrip())
        says = _unread(card.title, reader.limit, text[start:end])
        found.append(Hint(Kind.CUT, NEGATIVE, ((start, end),), says))
    return tuple(found)


def line(hint: Hint) -> str:
    """The same for a terminal."""
    offered = [fix.label for fix in hint.fixes if fix.instruction is None]
    return f"--{hint.part}: {hint.says}" + (f" Or: {', '.join(offered)}." if offered else "")


def _phrasing(texts: Texts, part: str, said: tuple[str, str]) -> Iterator[Hint]:
    text = texts[part]
    clauses = orders(text)
    rewritten = [*_rewritten(texts, part, said)] if clauses else []
    for kind, (start, end) in clauses:
        fixes = [*rewritten]
        if kind is Kind.REMOVAL:
            says = Said("A description takes nothing away: say what is there instead.")
            fixes.append(Fix(LEAVE_OUT, **{part: left_out(text, (start, end))}))
        elif plain(text[start:end].split()[0]) in english.KEEP:
            says = Said("What no text speaks of stays as it is: saying so only adds words.")
            fixes = [Fix(LEAVE_OUT, **{part: left_out(text, (start, end))})]
        else:
            says = Said(
                "“{words}” is an instruction: this text describes what {part} becomes.",
                words=_short(text[start:end]),
                part=PARTS[part],
            )
            fixes.append(Fix(TO_INSTRUCTION, instruction=text.strip(), **{part: ""}))
        yield Hint(kind, part, ((start, end),), says, tuple(fixes))
    for (start, end), named in negations(text):
        if any(a <= start < b for _, (a, b) in clauses):
            continue
        words = _short(text[start:end])
        says = (
            Said("“{words}” tends to draw {named}: say what is there instead.", words=words, named=_short(named))
            if named
            else Said("“{words}” is not understood as an absence: say what is there instead.", words=words)
        )
        yield Hint(
            Kind.NEGATION, part, ((start, end),), says, (Fix(LEAVE_OUT, **{part: left_out(text, (start, end))}),)
        )


def _rewritten(texts: Texts, part: str, said: tuple[str, str]) -> Iterator[Fix]:
    """The text as the splitter understands it, where it understands all of it: what each part is afterwards."""
    found = split_by_rules(texts[part], *said)
    after = dict(zip(("subject", "background"), ("", ""), strict=True))
    for turn in found.turns:
        after = {name: getattr(turn, name) or text for name, text in after.items()}
    told = {name: text for name, text in after.items() if text}
    again = any([*orders(text), *negations(text)] for text in told.values())
    if found.turns and not found.unread and not again:
        yield Fix(", ".join(map(_short, told.values())), **{part: "", **told})


def _notation(texts: Texts, part: str) -> Iterator[Hint]:
    for span, words in notations(texts[part]):
        said = texts[part][slice(*span)]
        by_name = "lora" in said.lower()
        why = Said("LoRA files are chosen by themselves") if by_name else Said("weights and options do nothing")
        says = Said("“{words}” is read as plain words: {why}.", words=_short(said), why=why)
        after = exchanged(texts[part], span, words) if words else left_out(texts[part], span)
        fixes = () if part == NEGATIVE else (Fix(_short(words) or LEAVE_OUT, **{part: after}),)
        yield Hint(Kind.SYNTAX, part, (span,), says, fixes)


def _unknown(texts: Texts, part: str, title: str, vocabulary: Vocabulary, known: Sequence[Span]) -> Iterator[Hint]:
    text = texts[part]
    spans = unknown_in(text, vocabulary, known)[:MOST_HINTS]
    if not spans:
        return

    def put(form: str, span: Span, label: str = "") -> Fix:
        return Fix(label or form, **{part: exchanged(text, span, form)})

    words = [text[slice(*span)] for span in spans]
    if len(spans) == 1:
        fixes = [put(form, spans[0]) for form in nearest(words[0], vocabulary, part)[:MOST_OFFERED]]
    else:
        fixes = [
            put(form, span, f"{_short(word)} → {form}")
            for word, span in zip(words, spans, strict=True)
            for form in nearest(word, vocabulary, part)[:1]
        ][:MOST_FIXES]
    if not fixes and not says_any(text, part, vocabulary):
        # Nothing is like it, and nothing else says what the text is about: what it may be about, for all of it.
        fixes = [put(form, (spans[0][0], spans[-1][1])) for form in usual_under(part, vocabulary)[:MOST_OFFERED]]
    yield Hint(
        Kind.UNKNOWN,
        part,
        tuple(spans),
        Said("{model} was not taught {words}.", model=title, words=_listed(words)),
        tuple(fixes),
        tuple((heading, tuple(put(form, spans[0]) for form in forms)) for heading, forms in usual_forms(vocabulary)),
    )


def _listed(words: Sequence[str]) -> str:
    quoted = [f"“{_short(word)}”" for word in dict.fromkeys(words)]
    more = len(quoted) - MOST_LISTED
    if more > 0:
        return Said("{words} and {count} more", words=", ".join(quoted[:MOST_LISTED]), count=more)
    *first, last = quoted
    return Said("{words} and {last}", words=", ".join(first), last=last) if first else last


def _cut(texts: Texts, method: Method, card: ModelCard) -> Iterator[Hint]:
    """Where the model stops reading: of each text by itself, or of both in one."""
    reader = text_reader(card)
    if reader is None:
        return
    said = {part: text for part, text in texts.items() if text.strip()}
    if method.joint is not None and len(said) == 2:
        first, second = said["subject"].strip(), said["background"].strip()
        whole = first + method.joint + second
        place = reader.unread_from(whole)
        if place is None:
            return
        starts = {"subject": min(place, len(first)), "background": max(0, place - len(first + method.joint))}
        ends = [(part, starts[part] + _indent(text)) for part, text in said.items()]
    else:
        ends = [(part, place) for part, text in said.items() if (place := reader.unread_from(text)) is not None]
    for part, start in ends:
        end = len(said[part].rstrip())
        if start < end:
            both = method.joint is not None and len(said) == 2
            yield Hint(Kind.CUT, part, ((start, end),), _unread(card.title, reader.limit, said[part][start:end], both))


def _unread(model: str, limit: int, rest: str, both: bool = False) -> Said:
    """That a model stops reading before `rest`."""
    alone = Said("{limit} tokens", limit=limit)
    read = Said("{limit} tokens of both texts together", limit=limit) if both else alone
    return Said("{model} reads {read}: nothing from “{words}” on.", model=model, read=read, words=_short(rest, 24))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _short(words: str, most: int = 40) -> str:
    said = " ".join(words.split())
    return said if len(said) <= most else said[: most - 1].rstrip() + "…"
