"""A request as the network sees it, and the way back to a picture of the request's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.contract import Candidate, EditRequest, Extent, Mask, Picture
from pipelines.diffusion.denoise import Hold
from pipelines.diffusion.prompts import Prompts
from pipelines.images import Frame, from_network, mask_at, resized, to_network
from pipelines.instructions.description import thing_and_place
from pipelines.kept import outside_change
from pipelines.models.bundle import ModelBundle
from pipelines.params import ModelParams
from pipelines.pasting import edited_region, flat_colour, put_back
from pipelines.seeds import derived_seed


def target_text(request: EditRequest) -> str:
    """The target text T: what the subject and what the background become, joined."""
    return " ".join(instructions(request))


def instructions(request: EditRequest) -> tuple[str, ...]:
    """What is to be done to the subject, and what to the background, as far as anything is."""
    return tuple(part for part in (request.subject.strip(), request.background.strip()) if part)


def source_and_target(request: EditRequest) -> tuple[str, str]:
    """What the picture shows now, and the target text T. Of a part that T leaves out, T says what the source says of
    it: methods that go by the difference of two texts would else take it away."""
    source, subject, background = (text.strip() for text in (request.source, request.subject, request.background))
    thing, place = thing_and_place(source)
    return source, " ".join(part for part in (subject or thing, background or place) if part)


def frame_of(bundle: ModelBundle, request: EditRequest) -> Frame:
    """The request's picture at a size that the network takes."""
    return Frame.fitting(Extent.of(request.picture), bundle.card.resolution, bundle.cell, bundle.halvings)


def avoided_text(request: EditRequest) -> str:
    """The text that guidance leads away from; it has no say where guidance is 1."""
    return request.negative.strip()


@dataclass(frozen=True)
class Canvas:
    """The request's picture in its frame."""

    bundle: ModelBundle
    request: EditRequest
    frame: Frame
    small: Picture
    """The picture at the network's size."""
    z_ref: Tensor
    """Its latent, ``(1, C, h, w)``: encoded once for the whole edit."""
    region: Mask
    """Which pixels of the original may change."""
    edited: Tensor
    """``(1, 1, h, w)`` in {0, 1}: 1 where any pixel of a latent cell may change."""
    prompts: Prompts
    """The edit's texts."""

    @classmethod
    def of(cls, bundle: ModelBundle, request: EditRequest) -> Canvas:
        frame = frame_of(bundle, request)
        small = resized(request.picture, frame.network)
        region = edited_region(request.mask, request.scope, request.feather)
        x = to_network(small)
        return cls(
            bundle=bundle,
            request=request,
            frame=frame,
            small=small,
            z_ref=bundle.regained(bundle, bundle.encode(x), x),
            region=region,
            edited=_cells(bundle, frame, region),
            prompts=Prompts(bundle),
        )

    @property
    def kept_latent(self) -> Tensor:
        """``(1, C, h, w)`` of the picture with all grey that may change: what a network that paints a part is shown."""
        hidden = mask_at(self.region, self.frame.network)
        return self.bundle.encode(to_network(self.small) * torch.from_numpy(~hidden))

    def latent_of(self, picture: Picture) -> Tensor:
        """``(1, C, h, w)`` of a picture at the network's size; the input's own is not encoded again."""
        return self.z_ref if np.array_equal(picture, self.small) else self.bundle.encode(to_network(picture))

    def cells(self, region: Mask) -> Tensor:
        """``(1, 1, h, w)`` in {0, 1}: 1 where any pixel of a latent cell is in `region`, of the original's size."""
        return _cells(self.bundle, self.frame, region)

    @property
    def hold(self) -> Hold | None:
        """What keeps the part outside the region during sampling; nothing when everything may change."""
        return None if bool(self.edited.all()) else Hold(self.z_ref, self.edited)

    @torch.no_grad()
    def candidate(self, seed: int, z: Tensor, pasting: ModelParams) -> Candidate:
        """The finished picture of a clean latent `z`, at the request's own size, put back as `pasting` says."""
        return self.finished(seed, resized(from_network(self.bundle.decode(z)), self.frame.original), pasting)

    def finished(self, seed: int, made: Picture, pasting: ModelParams) -> Candidate:
        """A picture of the request's own size, put back as `pasting` says."""
        request = self.request
        picture, region = put_back(made, request, self.region, pasting, derived_seed(seed, "grain"))
        outside = outside_change(picture, request.picture, region)
        return Candidate(seed, picture, outside, flat_colour(made, self.region))


def _cells(bundle: ModelBundle, frame: Frame, region: Mask) -> Tensor:
    return (frame.latent_share(region) > 0).float().to(bundle.device)
