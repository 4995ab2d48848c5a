"""The application around `pipelines`: history, sessions, jobs, page and command line. No tensors.

Programs begin with `open_studio`, which is imported when it is asked for: everything else is in modules of its own.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.verbs.studio import OpenStudio as OpenStudio
    from studio.verbs.studio import open_studio as open_studio


def __getattr__(name: str) -> Any:
    if name in ("OpenStudio", "open_studio"):
        from studio.verbs import studio as verbs

        return getattr(verbs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
