"""Everything that `pipelines` raises on purpose.

::

    PipelineError                  shown to the person as it stands; the work they had is untouched
    ├── BadRequest                 the request cannot be run: empty mask, no text, a size the model cannot take
    ├── BadPicture                 a file is not a picture we can read
    ├── BadParameter               a setting is outside its range
    ├── UnknownMethod              no catalogue entry of that name
    ├── ModelError                 a model folder is missing, incomplete or of the wrong kind
    │   └── PullError              a model could not be fetched; what came of it is kept for the next attempt
    ├── NumericalError             the optimisation or the sampler left the finite numbers
    ├── NotEnoughMemory            the device or the machine has too little memory for what was asked
    └── DeviceFault                the device failed in a way that only a new process recovers from

Anything else that escapes is a bug of ours. Messages say what was expected, what came and what to do next.
`pipelines.progress.Cancelled` is not an error and stands apart.
"""


class PipelineError(Exception):
    """Base of all errors that a person can act on."""


class BadRequest(PipelineError):
    """The request cannot be run as it is."""


class BadPicture(PipelineError):
    """The bytes are not a picture this studio reads."""


class BadParameter(PipelineError):
    """A setting is of the wrong type or outside its range.

    Its message begins with the name of `setting`, where it is about a single one: the page calls it something else.
    """

    def __init__(self, message: str, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class UnknownMethod(PipelineError):
    """The catalogue has no method of that name."""


class ModelError(PipelineError):
    """A model folder is missing, incomplete, or not of a supported kind."""


class PullError(ModelError):
    """A model could not be fetched from the hub."""


class NumericalError(PipelineError):
    """A loss, latent or picture became NaN or infinite; nothing of it was kept."""


class NotEnoughMemory(PipelineError):
    """Memory ran out; what was held beyond the models was given back, and a smaller request may work."""


class DeviceFault(PipelineError):
    """The GPU's context is broken: no later call of this process can use it."""
