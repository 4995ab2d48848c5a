"""Takes over a file that the browser uploaded.

The page's own script sends a file to Gradio's upload route and then names the path it got back. That path comes from
the client, so it is believed only when it lies inside Gradio's upload folder.
"""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from studio.errors import UserError
from studio.ui import text


def take(path: object) -> bytes:
    """The bytes of the uploaded file, which is removed: the session keeps its own copy.

    Raises `UserError` for anything that is not an uploaded file.
    """
    if not isinstance(path, str) or "\0" in path:
        raise UserError(text.NOT_UPLOADED)
    file, folder = Path(path).resolve(), Path(get_upload_folder()).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise UserError(text.NOT_UPLOADED)
    data = file.read_bytes()
    file.unlink(missing_ok=True)
    return data
