"""People who share one studio: what each may see of the others, and that none is in another's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_png
from studio.settings import ASSETS, Gallery
from tests.security.conftest import Served, Visitor

PICTURE = (ASSETS / "examples" / "duck-on-the-beach.png").read_bytes()


def test_two_people_open_the_same_file_and_both_have_it(served: Served) -> None:
    with served.client() as client:
        people = [Visitor(served, client) for _ in range(4)]
        # All have sent it before the first one opens it, and then all open it at once.
        tickets = [person.sends(PICTURE) for person in people]
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(
                    lambda person, ticket: person.fires("stage", "open_file", ticket=ticket, name="duck.png"),
                    people,
                    tickets,
                )
            )
    assert all(answer["view"]["name"] == "duck.png" and "notice" not in answer for answer in answers), answers
    assert len({answer["sid"] for answer in answers}) == 4


def test_nobody_takes_anothers_file_by_guessing_or_a_path(visitor: Visitor) -> None:
    visitor.sends(PICTURE)
    for ticket in ("", "0" * 22, "../x", str(Path(__file__)), "/etc/hostname"):
        said = visitor.fires("stage", "open_file", ticket=ticket, name="x.png")
        assert "did not arrive" in said["notice"]["text"] and "view" not in said


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        PICTURE[:-100],
        b"PK\x03\x04broken",
        PICTURE[:8] + b"broken",
        encode_png(np.zeros((2, 3, 3), np.uint8)),
    ],
)
def test_no_message_names_a_folder_of_the_machine(served: Served, visitor: Visitor, data: bytes) -> None:
    said = [visitor.fires("stage", "open_file", ticket=visitor.sends(data), name="x.png")]
    visitor.fires("stage", "open_example", example="duck-on-the-beach")
    said.append(visitor.fires("stage", "upload_mask", ticket=visitor.sends(data)))
    said.append(visitor.fires("reference", "put_reference", which="subject", ticket=visitor.sends(data)))
    said.append(visitor.fires("stage", "open_example", example="../../models"))
    for message in said:
        words = message.get("notice", {}).get("text", "")
        for place in (str(served.studio.settings.data), str(ASSETS), str(served.uploads), "/tmp", "/home", "/root"):
            assert place not in words, words


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"x-forwarded-host": "studio.example"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "for=203.0.113.9;proto=https"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "203.0.113.9"},
        {"CF-Connecting-IP": "203.0.113.9"},
    ],
)
def test_whoever_comes_through_a_proxy_sees_own_sessions_only(served: Served, headers: dict[str, str]) -> None:
    one, two = (served.studio.sessions.create_example("duck-on-the-beach").sid for _ in range(2))
    asked = {"search": "", "trashed": False, "shown": 2000, "count": 1, "place": "gallery"}
    with served.client(**headers) as client:
        stranger = Visitor(served, client)
        about = stranger.post(served.boot, [None]).text
        listed = stranger.fires("gallery", "seek_sessions", own=[two], **asked)["gallery"]["sessions"]
    assert [session["sid"] for session in listed] == [two]
    assert r"\"lists_all\": false" in about and r"\"manages_models\": false" in about and one not in about
    with served.client() as client:
        listed = Visitor(served, client).fires("gallery", "seek_sessions", own=[], **asked)["gallery"]["sessions"]
    assert {one, two} <= {session["sid"] for session in listed}, "on the machine itself all are listed"


def test_a_proxys_name_makes_own_sessions_the_default_and_a_setting_opens_them(served: Served) -> None:
    named = replace(served.studio.settings, allowed_hosts=("studio.example",))
    assert not named.lists_all and not named.manages_models
    assert replace(named, gallery=Gallery.ALL).lists_all and not replace(named, gallery=Gallery.ALL).manages_models
