"""Everything that the studio raises on purpose.

::

    UserError                      shown to the person as it stands; what they had is untouched
    ├── UnknownSession             no session of that id (or it is someone else's: the answer is the same)
    ├── UnknownTurn                the session's timeline has no such turn
    ├── UnknownBranch              the session's timeline has no branch of that name
    ├── WrongTurns                 what was asked cannot be done with these turns of the timeline
    ├── BadName                    a name that is blank, taken, too long or not printable
    ├── UnknownPicture             the digest names no picture of this session
    ├── UnknownMask                no mask was saved under that name in this session
    ├── UnknownExample             there is no example picture of that name
    ├── UnknownJob                 no job of that id, or its session has begun another one since
    ├── TurnFailed                 a program waited for a job, and it came to nothing
    ├── NotReady                   the turn in preparation cannot be run yet, and what is missing
    ├── NotMadeFor                 the model was made for other pictures, and nobody has said yet to run it all the same
    ├── Busy                       the session already has a job, or the queue is full
    ├── OverLimit                  a studio that strangers share does not do that much for one of them
    ├── StaleView                  another page changed the session, and this one has not seen it
    ├── OnlyHere                   what only a page on the studio's own machine may do
    ├── AddressRefused             nothing can listen at the host and port that were named, and why
    ├── BadKey                     a password or token that cannot be one
    ├── BadBody                    what was sent is too much, or not what the studio's own page sends
    ├── ServerRefused              a running studio that a command asked is not there, or says no
    ├── NotPushed                  the studio could not be put where it was to go
    ├── NothingStaged              there is no finished candidate to keep or to make more of
    ├── DeviceLost                 the process that computes pictures ended before it had answered
    ├── StorageError               a file could not be written or read; nothing was half stored
    │   ├── StorageFull            no space is left
    │   ├── DamagedFile            a stored file is missing or its bytes changed
    │   └── DamagedSession         what is stored of a session is not what was saved
    └── DataFolderError            the data folder cannot be used as it is
        ├── DataFolderInUse        another running studio holds it
        ├── NewerDatabase          a newer version of the studio wrote the database
        └── DamagedDatabase        the database file cannot be read

`pipelines.errors.PipelineError` is the other family a person can act on. Anything else that escapes is a bug of ours:
it is logged with its traceback, and the person is given only a short code. Messages say what was expected, what came
and what to do next.
"""


class UserError(Exception):
    """Base of all errors of the studio that a person can act on."""


class AddressRefused(UserError):
    """Nothing can listen at the host and port that were named."""


class UnknownSession(UserError):
    """No session has that id."""


class UnknownTurn(UserError):
    """The timeline has no turn of that id."""


class UnknownBranch(UserError):
    """The timeline has no branch of that name."""


class WrongTurns(UserError):
    """The turns exist, but what was asked cannot be done with them: they are not neighbours, not on one line…"""


class BadName(UserError):
    """A name that cannot be given."""


class UnknownPicture(UserError):
    """The session has no picture of that digest."""


class UnknownMask(UserError):
    """The session has no mask that was saved under that name."""


class UnknownExample(UserError):
    """There is no example of that name."""


class UnknownJob(UserError):
    """No job has that id, or it is over and another one took its place."""


class TurnFailed(UserError):
    """A job that was waited for failed, or was cancelled or interrupted."""


class NotReady(UserError):
    """The turn in preparation lacks something, or something in it cannot be."""


class NotMadeFor(UserError):
    """The model was made for other pictures than this one. It runs as soon as somebody insists."""


class Busy(UserError):
    """One job a session, and the queue has an end."""

    seconds: float | None = None
    """After which to try again, where that is known."""


class OverLimit(UserError):
    """More than a studio that strangers share does for one of them."""


class StaleView(UserError):
    """Another page changed the session after what this one shows."""


class OnlyHere(UserError):
    """Others can reach the studio, and what was asked is not for strangers."""


class BadKey(UserError):
    """A password or token of the studio's own cannot be one."""


class BadBody(UserError):
    """What was sent cannot be read; the message is for whoever sent it."""


class ServerRefused(UserError):
    """A running studio did not do what a command asked of it."""


class NotPushed(UserError):
    """The studio could not be put into a Space."""


class NothingStaged(UserError):
    """There is no such finished candidate."""


class DeviceLost(UserError):
    """The device's process was killed, crashed or was replaced; nothing that was kept is touched by that."""


class StorageError(UserError):
    """A file or the database could not be written or read."""


class StorageFull(StorageError):
    """The disk that holds the data folder is full."""


class DamagedFile(StorageError):
    """A stored file is missing, or its bytes no longer match its name."""


class DamagedSession(StorageError):
    """What is stored of a session is not what was saved: it cannot be changed, or not even be shown."""


class DataFolderError(UserError):
    """The data folder cannot be used."""


class DataFolderInUse(DataFolderError):
    """Another studio holds the data folder."""


class NewerDatabase(DataFolderError):
    """The database was written by a newer studio."""


class DamagedDatabase(DataFolderError):
    """The database file is not readable."""
