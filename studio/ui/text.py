"""The words of the page that Python puts there; the words of what is drawn in JavaScript stand in ``assets/js``.

Constants are English, and said in the page's language (`studio.ui.language`) where they are put into it.
"""

from __future__ import annotations

from pipelines.errors import BadParameter, PipelineError
from studio.errors import BadBody, UserError
from studio.settings import Hosting
from studio.ui.language import figure, say

TITLE = "Palimpsest"

CHANGE = "Change"
SCOPES = [("Both", "both"), ("Subject", "subject"), ("Background", "background")]
METHOD = "Method"
MODEL = "Model"
QUALITY = "Quality"
QUALITIES = {"draft": "Draft", "standard": "Standard", "exact": "Exact"}
CANDIDATES = "Candidates"
SEED = "Seed"
ADVANCED = "Advanced"
TURN_TEXTS = {
    "negative": ("Keep out", "what should not be in the picture"),
    "source": ("The picture shows now", "unsaid: what the turns before said of it"),
}
"""Label and placeholder of the texts about a turn as a whole, by field."""

NOT_LAYERDIFFUSE = "This is LayerDiffusion (Li et al. 2023). It is not LayerDiffuse, which makes transparent pictures."

GONE = "This session is not in this studio any more. Open a picture to start a new one."
RESTARTED = "The studio was restarted. Reload this page; your session is kept."
OPEN_TO_ALL = "Whoever can reach this address can use this studio: it has neither password nor token."
OTHER_TAB = (
    "This session was changed in another tab meanwhile. Nothing was done here; you see it as it is now. "
    "Do it again if you still want it, or stand on an earlier turn and branch."
)
OUR_FAULT = "Something went wrong inside the studio; your turns are safe. Try again; the server's log has the details."
UNDO = "Undo"
NO_TURNS = "Between 1 and {most} turns can be run together, each with its two texts. Split the sentence again."
NO_PART = "A part of a picture has four edges in whole pixels; got {got}. Choose the part again."

LABELS = {
    "embed_steps": "Embedding steps",
    "embed_rate": "Embedding rate",
    "embed_mode": "Embedding",
    "subject_weight": "Subject share",
    "tuned": "Fine-tune",
    "tune_steps": "Fine-tune steps",
    "tune_rate": "Fine-tune rate",
    "lora_rank": "LoRA rank",
    "object_loss": "Subject loss",
    "small_object_loss": "Small subject loss",
    "small_object_area": "Small subject area",
    "background_loss": "Background loss",
    "normalize_by_area": "Average by area",
    "timesteps_per_step": "Noise levels a step",
    "early_stop": "Stop early",
    "compiled": "Compile the network",
    "window": "What the model sees",
    "context": "Seen around the subject",
    "steps": "Sampling steps",
    "guidance": "Guidance scale",
    "alternate": "Alternate texts",
    "start": "Start from",
    "strength": "Strength",
    "blend_latents": "Hold the kept part",
    "paste_back": "Paste kept pixels back",
    "match_colour": "Match the colour at the seam",
    "grain": "Keep the grain",
    "residual": "Undo small changes",
    "added": "Added colour",
    "match": "Match the light",
    "up": "Upwards",
    "twice": "Keep it there too",
}
"""Settings whose name alone would puzzle; others show their name with spaces."""

OWN_LABELS = {("place", "right"): "To the right"}
"""Those that another method has under the same name."""


def forgets(hosting: Hosting) -> str:
    """What whoever works in a studio that strangers share must know of it."""
    return say(
        "This studio is shared. A session that nobody uses for {hours} hours is deleted, and sooner "
        "where the disk is full.",
        hours=figure(hosting.session_hours),
    )


def label(name: str, method: str = "") -> str:
    """What a setting is called, and in one method otherwise."""
    usual = LABELS.get(name, name.replace("_", " ").capitalize())
    return OWN_LABELS.get((method, name), usual)


def fault(error: UserError | PipelineError) -> str:
    """What the page says of a refusal; a setting is called what its field is called."""
    message = str(error)
    if isinstance(error, BadBody):
        return f"The page sent something that the studio does not know ({message}). Reload the page and do it again."
    if isinstance(error, BadParameter) and error.setting:
        return label(error.setting) + message.removeprefix(error.setting)
    return message


NOT_READ = "this method reads no text here"
"""In a field that the method has no use for."""


def example(words: str) -> str:
    """What stands in an empty field."""
    return say("for example: {words}", words=words)


def quality(name: str, seconds: float | None) -> str:
    """``Draft 3 s`` once a turn of that quality has been measured here, ``Draft`` before. As while a turn runs, what
    takes longer than a minute and a half is told in minutes: there is no room for more."""
    called = say(QUALITIES[name])
    if seconds is None:
        return called
    if seconds >= 90:
        return f"{called} {seconds / 60:.0f} min"
    return f"{called} {figure(seconds, '.0f' if seconds >= 1 else '.1f')} s"


def nothing_called(phrase: str) -> str:
    """A notice for a phrase that names nothing in the picture."""
    return say("Nothing was found for “{phrase}”. Say it in other words, or click the subject.", phrase=phrase)


def in_trash(name: str) -> str:
    """A notice for a session that was just put there."""
    return say("“{name}” is in the trash.", name=name)


def discarded(candidates: int) -> str:
    """A notice for candidates that were just put away."""
    if candidates == 1:
        return say("The candidate is in the trash.")
    return say("{count} candidates are in the trash.", count=candidates)


def also_open(others: int) -> str:
    """A notice for a page that is not the only one on its session."""
    if others == 1:
        return say("This session is open in another tab too. Neither overwrites the other.")
    return say("This session is open in {count} other tabs too. Neither overwrites the other.", count=others)


SIGN_IN = (
    '<p><a href="{address}/login/huggingface" target="_blank" rel="noopener">Sign in</a> to be known by your Hugging '
    "Face account, not by an address that others share; sessions of before stay with that. "
    '<a href="{address}/logout" target="_blank" rel="noopener">Sign out</a></p>'
)
"""Where a Space offers it: in a tab of its own, for frames are kept no cookies."""
