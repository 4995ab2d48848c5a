"""What can be chosen of a training for many rounds. No torch here: the command line reads it."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """How the second round is compared with the target."""

    NOISE = "noise"  # Eq. 4: the noise that would have led to the target
    PICTURE = "picture"  # Eq. 2 in one step: the picture that the round comes to; bounded at every timestep


class Decay(StrEnum):
    """How the weight of the multi-round loss goes (Table 3(d))."""

    LINEAR = "linear"  # from 1 to 0, as in the paper
    FIXED = "fixed"  # 1 throughout
    NONE = "none"  # 0: the paper's baseline


class Edges(StrEnum):
    """What becomes of the edge branch."""

    NONE = "none"  # there is none
    TRAINED = "trained"  # it begins as a copy of the network's encoder and is trained along
    LOADED = "loaded"  # a ControlNet's folder, which stays as it is
    ALONE = "alone"  # it alone is trained, told texts and edges: the paper's row "ControlNet"
