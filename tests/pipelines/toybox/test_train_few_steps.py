"""The parts of the few-step model's trainer that are right or wrong: the levels, and the teacher's step."""

from __future__ import annotations

import torch

from pipelines.diffusion.schedule import DONE, Schedule
from pipelines.toybox.train_few_steps import LEVELS, levels, step_down
from pipelines.toybox.train_text_to_image import NOISE


def test_the_levels_go_from_noise_to_the_picture() -> None:
    t, t_next = levels(torch.tensor([LEVELS, 2, 1]), 1000)
    assert t.tolist() == [999, 39, 19] and t_next.tolist() == [979, 19, DONE]


def test_the_teachers_step_is_ddims_for_each_picture_by_itself() -> None:
    torch.manual_seed(0)
    noise = Schedule.from_config(NOISE)
    z, v = torch.randn(2, 3, 4, 5, 5).unbind(0)
    t, t_next = levels(torch.tensor([LEVELS, 7, 1]), 1000)
    stepped = step_down(noise, z, v, t, t_next)
    for k in range(2):
        eps = noise.noise_from(v[k : k + 1], z[k : k + 1], t[k : k + 1])
        alone = noise.step(z[k : k + 1], eps, int(t[k]), int(t_next[k]))
        torch.testing.assert_close(stepped[k : k + 1], alone, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(stepped[2:], noise.picture_from(v[2:], z[2:], t[2:]))
