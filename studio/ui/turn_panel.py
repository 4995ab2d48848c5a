"""The right column: what the next turn should change, how, and the button that runs it.

Texts, choices and numbers are Gradio's own components; the reference picture, the progress and the two buttons are
drawn by our scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from pydantic import StrictStr

from pipelines.catalog import CATALOG
from pipelines.contract import Quality
from pipelines.requests import LONGEST_TEXT
from studio.session.view import FRESH
from studio.ui import hints, instruction, model_handlers, text
from studio.ui.forms import Form, build_forms
from studio.ui.handlers import Handlers, Seat
from studio.ui.language import say
from studio.ui.panel import Shared, drawn
from studio.ui.payload import Payload
from studio.ui.sent import PANEL, TURN_TEXTS, Loras, Reference, Run, Setting


@dataclass(frozen=True)
class TurnPanel:
    """The components of the column, from top to bottom."""

    heading: gr.HTML
    subject: gr.Textbox
    background: gr.Textbox
    hints: gr.HTML
    reference: gr.HTML
    instruction: gr.HTML
    scope: gr.Radio
    method: gr.Dropdown
    model: gr.Dropdown
    quality: gr.Radio
    candidates: gr.Radio
    seed: gr.Number
    filled: gr.Textbox
    """Out of sight: names the presets that stand in the forms. It changes in the page together with them."""
    texts: dict[str, gr.Textbox]
    """About the turn as a whole, by field; each is seen where the method goes by it."""
    loras: gr.HTML
    forms: tuple[Form, ...]
    go: gr.HTML

    @property
    def plain(self) -> list[gr.components.Component]:
        """In the order of `sent.PANEL`."""
        return [
            self.subject,
            self.background,
            self.scope,
            self.method,
            self.model,
            self.quality,
            self.candidates,
            self.seed,
            *self.texts.values(),
            self.filled,
        ]

    @property
    def values(self) -> list[gr.components.Component]:
        """Every field that holds a value of the draft."""
        return [*self.plain, *(c for form in self.forms for c in form.components.values())]

    @property
    def holding(self) -> list[Any]:
        """The types of `values`."""
        return [*PANEL.values(), *[Setting] * (len(self.values) - len(PANEL))]

    @property
    def fields(self) -> list[Any]:
        """Every component that `Handlers.fields` fills, in its order."""
        return [*self.values, *(form.group for form in self.forms)]


def build(models: list[tuple[str, str]], qualities: Sequence[Quality], most_candidates: int) -> TurnPanel:
    """`models` are (title, id) of the text-to-image models there are; the others are what may be asked for."""
    draft = FRESH
    best = draft.quality if draft.quality in qualities else qualities[-1]
    subject_said, background_said = map(say, CATALOG[draft.method].labels)
    subject_like, background_like = CATALOG[draft.method].examples
    with gr.Column(elem_id="side"):
        heading = drawn("heading", "heading")
        subject = gr.Textbox(
            label=subject_said,
            placeholder=text.example(subject_like),
            lines=2,
            max_lines=4,
            max_length=LONGEST_TEXT,
            elem_id="subject",
        )
        background = gr.Textbox(
            label=background_said,
            placeholder=text.example(background_like),
            lines=2,
            max_lines=4,
            max_length=LONGEST_TEXT,
            elem_id="background",
        )
        remarks = hints.build()
        reference = drawn("reference", "reference", "put_reference")
        said = instruction.build()
        scope = gr.Radio(
            [(say(words), scope) for words, scope in text.SCOPES],
            value=str(draft.scope),
            label=say(text.CHANGE),
            elem_id="scope",
            elem_classes="p-seg",
        )
        quality = gr.Radio(
            [(say(text.QUALITIES[quality]), str(quality)) for quality in qualities],
            value=str(best),
            label=say(text.QUALITY),
            elem_id="quality",
            elem_classes="p-seg",
        )
        with gr.Row(elem_classes="p-pair"):
            method = gr.Dropdown(
                [(say(m.title), name) for name, m in CATALOG.items()],
                value=draft.method,
                label=say(text.METHOD),
                elem_id="method",
            )
            model = gr.Dropdown(models, value=draft.model, label=say(text.MODEL), elem_id="model")
        with gr.Row(elem_classes="p-pair"):
            candidates = gr.Radio(
                list(range(1, most_candidates + 1)),
                value=draft.candidates,
                label=say(text.CANDIDATES),
                elem_id="candidates",
                elem_classes="p-seg",
            )
            seed = gr.Number(value=draft.seed, precision=0, label=say(text.SEED), elem_id="seed")
            filled = gr.Textbox("", visible="hidden", show_label=False, elem_id="filled")
        with gr.Accordion(say(text.ADVANCED), open=False, elem_id="advanced"):
            texts = {
                name: gr.Textbox(
                    label=say(text.TURN_TEXTS[name][0]),
                    placeholder=say(text.TURN_TEXTS[name][1]),
                    lines=1,
                    max_lines=4,
                    max_length=LONGEST_TEXT,
                    visible=CATALOG[draft.method].hears(name),
                    elem_id=name,
                )
                for name in TURN_TEXTS
            }
            loras = drawn("loras", "loras", "put_loras")
            forms = build_forms(draft.method)
        go = drawn("go", "go", "run", "cancel")
    return TurnPanel(
        heading=heading,
        subject=subject,
        background=background,
        hints=remarks,
        reference=reference,
        instruction=said,
        scope=scope,
        method=method,
        model=model,
        quality=quality,
        candidates=candidates,
        seed=seed,
        filled=filled,
        texts=texts,
        loras=loras,
        forms=forms,
        go=go,
    )


def bind(panel: TurnPanel, handlers: Handlers, shared: Shared) -> None:
    """Attaches the handlers."""

    def loras(seat: Seat | None, sent: Loras) -> Payload:
        return model_handlers.put_loras(handlers, seat, sent.model_dump())

    def run(seat: Seat | None, sent: Run, *values: Any) -> Payload:
        return handlers.run(seat, *values, insists=sent.insists, methods=sent.methods)

    on = shared.on
    everything: dict[str, Any] = {"values": panel.values, "holding": shared.panel}
    on(panel.reference.put_reference, lambda seat, to: handlers.reference(seat, to.which, to.ticket), hears=Reference)
    on(panel.loras.put_loras, loras, hears=Loras, trigger_mode="multiple")
    for switch in (panel.method, panel.quality):
        on(switch.input, handlers.retuned, shared.restored, **everything, trigger_mode="always_last")
    model: dict[str, Any] = {"values": [panel.model], "holding": [StrictStr]}
    on(panel.model.input, handlers.remodelled, shared.restored, **model, trigger_mode="always_last")
    own = (panel.method, panel.quality, panel.model, panel.filled)
    others: list[Any] = [field for field in panel.values if field not in own]
    # Gradio tells nothing of the first change to a text that it filled itself, so leaving the text counts too.
    edited = [
        *(f.input for f in others),
        *(f.blur for f in (panel.subject, panel.background, *panel.texts.values())),
    ]
    on(partial(gr.on, edited), handlers.drafted, **everything, trigger_mode="always_last")
    runs = on(panel.go.run, run, hears=Run, **everything)
    runs.then(**shared.follow)
    hints.bind(panel.hints, handlers, shared)
    instruction.bind(panel.instruction, panel.values, handlers, shared)
    on(panel.go.cancel, handlers.cancel)
