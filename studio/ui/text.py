"""The words of the page that Python puts there; the words of what is drawn in JavaScript stand in ``assets/js``."""

from __future__ import annotations

from pipelines.errors import BadParameter, PipelineError
from studio.errors import BadBody, UserError
from studio.settings import Hosting

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
    return (
        f"This studio is shared. A session that nobody uses for {hosting.session_hours:g} hours is deleted, and sooner "
        "where the disk is full."
    )


def label(name: str, method: str = "") -> str:
    """What a setting is called on the page, and in one method otherwise."""
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
    return f"for example: {words}"


def quality(name: str, seconds: float | None) -> str:
    """``Draft 3 s`` once a turn of that quality has been measured here, ``Draft`` before. As while a turn runs, what
    takes longer than a minute and a half is told in minutes: there is no room for more."""
    if seconds is None:
        return QUALITIES[name]
    if seconds >= 90:
        return f"{QUALITIES[name]} {seconds / 60:.0f} min"
    return f"{QUALITIES[name]} {seconds:.0f} s" if seconds >= 1 else f"{QUALITIES[name]} {seconds:.1f} s"


def nothing_called(phrase: str) -> str:
    """A notice for a phrase that names nothing in the picture."""
    return f"Nothing was found for “{phrase}”. Say it in other words, or click the subject."


def in_trash(name: str) -> str:
    """A notice for a session that was just put there."""
    return f"“{name}” is in the trash."


def discarded(candidates: int) -> str:
    """A notice for candidates that were just put away."""
    return f"{candidates} candidates are in the trash." if candidates > 1 else "The candidate is in the trash."


def also_open(others: int) -> str:
    """A notice for a page that is not the only one on its session."""
    pages = "another tab" if others == 1 else f"{others} other tabs"
    return f"This session is open in {pages} too. Neither overwrites the other."


SIGN_IN = (
    '<p><a href="{address}/login/huggingface" target="_blank" rel="noopener">Sign in</a> to be known by your Hugging '
    "Face account, not by an address that others share; sessions of before stay with that. "
    '<a href="{address}/logout" target="_blank" rel="noopener">Sign out</a></p>'
)
"""Where a Space offers it: in a tab of its own, for frames are kept no cookies."""
