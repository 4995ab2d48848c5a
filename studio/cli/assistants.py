"""``mcp``: the studio for an assistant that starts it, over standard input and output."""

from __future__ import annotations

from dataclasses import replace

from studio import logs
from studio.cli.options import DEFAULTS, Data, Device, Model, Models, SegmenterName, settings_from
from studio.verbs.studio import open_studio


def mcp(
    data: Data = DEFAULTS.data,
    model: Model = DEFAULTS.model,
    segmenter: SegmenterName = DEFAULTS.segmenter,
    models: Models = [],  # noqa: B006  typer copies it
    device: Device = DEFAULTS.device,
) -> None:
    """Let an assistant edit.

    It speaks the Model Context Protocol over standard input and output. A data folder serves one process at a time:
    while the page is open on it, the assistant speaks to the page's studio, at /mcp.
    """
    from studio.api.assistants import build_server  # no other command needs its libraries

    logs.to_terminal()  # stdout is the assistant's
    own = settings_from(models, device, model, segmenter)
    with open_studio(data, settings=replace(own, device_process=True, warm_up=False)) as verbs:
        build_server(verbs).run("stdio")
