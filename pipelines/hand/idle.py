"""Which settings of the turns without a model have no say beside the others as they are: name to the reason."""

from __future__ import annotations

from pipelines.contract import Scope
from pipelines.hand.params import BackdropParams, LightParams, PlaceParams, RecolourParams, StraightenParams
from pipelines.layered.plan import Asks


def idle_of_colour(asked: Asks, _: RecolourParams | LightParams) -> dict[str, str]:
    """Where all of the picture changes there is no edge."""
    return {"edge": "both parts change, and nothing ends between them"} if asked.scope is Scope.BOTH else {}


def idle_of_backdrop(asked: Asks, _: BackdropParams) -> dict[str, str]:
    """A picture has no direction, and colours have no size."""
    if asked.background_reference is not None:
        return {"angle": "behind the subject stands a picture"}
    return dict.fromkeys(("fit", "blur"), "behind the subject stands a colour")


def idle_of_place(_: Asks, params: PlaceParams) -> dict[str, str]:
    """Where nothing is left, nothing is filled."""
    return dict.fromkeys(("fill", "margin"), "the subject stays where it is too") if params.twice else {}


def idle_of_straighten(_: Asks, params: StraightenParams) -> dict[str, str]:
    """A picture that is only mirrored has its size."""
    return {} if params.angle else {"keep_size": "nothing is turned, so no corner is cut away"}
