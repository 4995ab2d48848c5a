"""Stands for the package of that name, which only a Space on ZeroGPU has: it does what that does, without a GPU.

A decorated function is run in a fork of this process; what it is given and what it yields are pickled; it is refused
without the visitor's request in its context, or when it was not there before the page was launched; and closed it is
stopped at its next yield.
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any

import gradio as gr
from gradio.context import LocalContext

FORK = multiprocessing.get_context("fork")
TOKEN = "x-ip-token"
LIMIT = "Space app has reached its GPU limit"
decorated: list[Callable[..., Any]] = []
launched = False
forks: list[int] = []
"""Exit code of each fork."""


def GPU(task: Any = None, *, duration: Any = None, size: Any = None) -> Any:  # noqa: N802
    if task is None:
        return lambda task: GPU(task, duration=duration, size=size)
    if launched:
        raise RuntimeError("decorated functions must exist before launch")
    if not inspect.isgeneratorfunction(task):
        raise TypeError("what cannot be stopped is not lent a GPU here")

    @wraps(task)
    def lent(*args: Any) -> Generator[Any, None, None]:
        request = LocalContext.request.get(None)
        if request is None or TOKEN not in request.headers:
            raise gr.Error(LIMIT, print_exception=False)
        assert isinstance(duration(*args) if callable(duration) else duration, int)
        asked, stop = pickle.dumps(args), FORK.Event()
        ours, theirs = FORK.Pipe()
        fork = FORK.Process(target=work, args=(task, asked, theirs, stop), daemon=True)
        fork.start()
        theirs.close()
        try:
            while True:
                try:
                    kind, value = ours.recv()
                except EOFError:
                    raise gr.Error("GPU task aborted", print_exception=False) from None
                if kind == "end":
                    return
                if kind == "raised":
                    raise gr.Error(value, print_exception=False)
                yield value
        finally:
            stop.set()
            while fork.is_alive():
                if ours.poll(0.05):
                    try:
                        ours.recv()
                    except EOFError:
                        break
            fork.join()
            forks.append(fork.exitcode or 0)
            ours.close()

    decorated.append(lent)
    return lent


def work(task: Callable[..., Any], asked: bytes, answers: Any, stop: Any) -> None:
    try:
        steps = task(*pickle.loads(asked))
        for step in steps:
            if stop.is_set():
                steps.close()
                break
            answers.send(("step", step))
        answers.send(("end", None))
    except BaseException as problem:  # noqa: BLE001  the package tells of any
        answers.send(("raised", type(problem).__name__))
        os._exit(1)
    os._exit(0)


_launch = gr.Blocks.launch


def launch(*args: Any, **kwargs: Any) -> Any:
    """The package's own, once: it looks for decorated functions, and packs what lies on the device."""
    global launched
    if not decorated:
        raise RuntimeError("no decorated function was found")
    launched = True
    gr.Blocks.launch = _launch
    return _launch(*args, **kwargs)


gr.Blocks.launch = launch
