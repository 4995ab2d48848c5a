"""A local instruction-tuned language model as the splitter: asked for JSON, believed only where the JSON is right.

The model is a folder, or a hub name that is already in the local cache: nothing is downloaded, weights are safetensors
only, and code that comes with a model never runs. What the person wrote is data in the prompt; should it talk the model
into anything, the answer is still nothing but texts and scopes that are shown for correction.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from pipelines.contract import Scope
from pipelines.errors import PipelineError
from pipelines.instructions.contract import MOST_TURNS, Asked, Split
from pipelines.models.loader import load_language_model
from pipelines.progress import Progress
from pipelines.requests import LONGEST_TEXT

LONGEST_INSTRUCTION = 2_000
"""Characters; longer ones are read by the rules, for the model's context is short and its time grows with the text."""
LONGEST_ANSWER = 600
"""Tokens."""

QUESTION = """\
You split one picture-editing instruction into ordered turns. A turn changes the subject, the background, or both.
Answer with JSON only: {"turns": [{"subject": TEXT, "background": TEXT, "scope": "subject" | "background" | "both"}]}.
Each TEXT fully describes what that part becomes, like "a blue dog jumping" or "in a forest"; what earlier turns changed
stays said. The text of a part that a turn does not change is "". Words like "then" start a new turn; "and" does not.
"""


class BadAnswer(PipelineError):
    """The language model did not answer with turns of the asked-for form."""


def read_answer(answer: str) -> tuple[Asked, ...]:
    """The turns in a model's answer, which may have words around its JSON; raises `BadAnswer` with what is wrong."""
    start = answer.find("{")
    if start < 0:
        raise BadAnswer("expected JSON; the answer holds none")
    try:
        value, _ = json.JSONDecoder().raw_decode(answer, start)
    except (ValueError, RecursionError):
        raise BadAnswer("expected JSON; the answer's is broken or cut off") from None
    rows = value.get("turns") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_TURNS:
        raise BadAnswer(f'expected {{"turns": [...]}} with 1 to {MOST_TURNS} turns')
    return tuple(_asked(row, number) for number, row in enumerate(rows, 1))


def _asked(row: object, number: int) -> Asked:
    if not isinstance(row, dict) or set(row) != {"subject", "background", "scope"}:
        raise BadAnswer(f"turn {number}: expected exactly subject, background and scope")
    subject, background, scope = row["subject"], row["background"], row["scope"]
    if not isinstance(subject, str) or not isinstance(background, str):
        raise BadAnswer(f"turn {number}: subject and background must be texts")
    if max(len(subject), len(background)) > LONGEST_TEXT:
        raise BadAnswer(f"turn {number}: a text may have {LONGEST_TEXT} characters")
    if scope not in list(Scope):
        raise BadAnswer(f"turn {number}: the scope must be one of {', '.join(Scope)}")
    said = {Scope.SUBJECT: (True, False), Scope.BACKGROUND: (False, True), Scope.BOTH: (True, True)}[Scope(scope)]
    if (bool(subject.strip()), bool(background.strip())) != said:
        raise BadAnswer(f"turn {number}: the scope {scope} does not go with the texts that are filled in")
    return Asked(subject.strip(), background.strip(), Scope(scope))


class _Reporting(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Tells the progress after each token, whose callback may raise `Cancelled`; never stops by itself."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tokens = 0

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        self.tokens += 1
        self.progress("reading", min(self.tokens, LONGEST_ANSWER), LONGEST_ANSWER)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def split_by_model(
    name: str, instruction: str, subject: str, background: str, device: str, progress: Progress
) -> Split:
    """The turns as the model `name` (a folder, or a hub name in the local cache) sees them, decoded greedily.

    Raises `ModelError` where it cannot be loaded and `BadAnswer` where its answer is not of the form.
    """
    if len(instruction) > LONGEST_INSTRUCTION:
        raise BadAnswer(f"it reads at most {LONGEST_INSTRUCTION} characters; the instruction has {len(instruction)}")
    tokenizer, model = load_language_model(name, device)
    given = {"subject so far": subject, "background so far": background, "instruction": instruction}
    prompt = f"{QUESTION}\n{json.dumps(given, ensure_ascii=False)}\n"
    if tokenizer.chat_template:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
        )
    asked = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and asked.input_ids.shape[1] + LONGEST_ANSWER > longest:
        raise BadAnswer(f"its context of {longest} tokens is too short for the question and an answer")
    with torch.inference_mode():
        answer = model.generate(
            input_ids=asked.input_ids.to(model.device),
            attention_mask=asked.attention_mask.to(model.device),
            max_new_tokens=LONGEST_ANSWER,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
            stopping_criteria=StoppingCriteriaList([_Reporting(progress)]),
        )
    text = tokenizer.decode(answer[0, asked.input_ids.shape[1] :], skip_special_tokens=True)
    shown = Path(name).name  # never a path of the machine
    return Split(turns=read_answer(text), reader=shown)
