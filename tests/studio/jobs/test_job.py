from __future__ import annotations

from dataclasses import replace

from studio.jobs.job import Job, JobState


def stepped(*steps: tuple[str, int, int, float]) -> Job:
    job = Job("j", "s", "edit", ("reference", "embeddings", "guidance")).started(now=1.0, clock=100.0)
    for stage, step, total, clock in steps:
        job = job.stepped(stage, step, total, clock)
    return job


def test_nothing_is_known_before_the_first_step() -> None:
    assert stepped().seconds_left(101.0, {}) is None
    assert stepped().fractions() == (("reference", 0.0), ("embeddings", 0.0), ("guidance", 0.0))


def test_time_left_follows_the_speed_of_this_stage_and_what_the_later_ones_took() -> None:
    job = stepped(("reference", 2, 10, 102.0))  # 1 s a step: 8 s left here
    assert job.seconds_left(102.0, {"embeddings": 20.0, "guidance": 5.0}) == 8.0 + 25.0
    assert job.seconds_left(104.0, {"embeddings": 20.0, "guidance": 5.0}) == 6.0 + 25.0, "it counts down between steps"
    assert job.seconds_left(102.0, {}) == 8.0 + 2 * 10.0, "unknown stages are taken to be as long as the known ones"


def test_a_stage_begins_where_the_one_before_ended() -> None:
    job = stepped(("reference", 10, 10, 105.0), ("embeddings", 1, 4, 107.0))
    assert job.took == {"reference": 5.0, "embeddings": 2.0}
    assert job.seconds_left(107.0, {"guidance": 1.0}) == 6.0 + 1.0
    assert job.fractions() == (("reference", 1.0), ("embeddings", 0.25), ("guidance", 0.0))


def test_a_stage_passed_over_counts_as_done_and_an_unannounced_one_is_shown() -> None:
    job = stepped(("loading", 1, 1, 101.0), ("guidance", 1, 2, 102.0))
    assert [name for name, _ in job.fractions()] == ["loading", "reference", "embeddings", "guidance"]
    assert [share for _, share in job.fractions()] == [1.0, 1.0, 1.0, 0.5]


def test_a_finished_job_has_no_time_left_and_is_whole() -> None:
    job = replace(stepped(("guidance", 1, 2, 102.0)), state=JobState.DONE)
    assert job.finished and job.seconds_left(103.0, {}) is None
    assert {share for _, share in job.fractions()} == {1.0}
