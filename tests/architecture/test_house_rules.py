"""The rules of the house, on the files as they are: what may import what, what is explained, what is nowhere.

Import contracts are in ``pyproject.toml``; the proof that counts is a fresh process that imports and looks.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for root in ("pipelines", "studio") for p in (ROOT / root).rglob("*.py"))
HEAVY = ("torch", "torchmetrics", "torchvision", "diffusers", "transformers", "accelerate", "peft", "segment_anything")
TORCH_FREE = tuple(
    f"pipelines.{name}"
    for name in (
        *("catalog", "contract", "errors", "params", "pictures", "progress", "requests", "kept"),
        *("masks.prompts", "masks.refine", "masks.segmenter", "masks.fill", "masks.follow", "masks.matting"),
        *("models.folders", "models.installed", "models.hub", "models.domain", "models.limits"),
        *("hand.backdrop", "hand.changed", "hand.colour", "hand.fill", "hand.idle", "hand.params", "hand.place"),
        "hand.run",
        *("toybox.render", "toybox.scene", "toybox.triples", "toybox.words"),
        *("training.choices", "training.published", "training.sources", "training.triples"),
        *("evaluation.commute", "evaluation.consistency", "evaluation.drift", "evaluation.similarity"),
        *("instructions.contract", "instructions.rules", "instructions.split"),
    )
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tracked(*patterns: str) -> list[Path]:
    """The files that git keeps, or would keep if they were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def imported(path: Path) -> Iterator[str]:
    """Every module that `path` names in an import, at the top or inside a function, as a whole dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; the house names modules in full"
            yield node.module or ""


def importers(*libraries: str) -> set[str]:
    """The files under the two roots that import one of `libraries`."""
    return {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name.split(".")[0] in libraries for name in imported(path))
    }


def in_a_fresh_process(code: str) -> str:
    """What `code` prints in an interpreter of its own, started in the project's folder."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def loaded_after(modules: list[str], suspects: tuple[str, ...]) -> str:
    """Which of `suspects` are in ``sys.modules`` when `modules` were imported, separated by blanks."""
    imports = f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]"
    return in_a_fresh_process(f"{imports}; print(*sorted(set({suspects!r}) & set(sys.modules)))")


# ------------------------------------------------------------------------------------------------------- arrows


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_page_and_its_neighbours_load_no_tensors() -> None:
    studio = [module_name(path) for path in SOURCES if module_name(path).startswith("studio")]
    assert "studio.ui.app" in studio
    assert loaded_after([name for name in studio if ".migrations." not in name], HEAVY) == ""


@pytest.mark.parametrize(
    "module",
    ["studio.verbs.studio", "studio.ui.app", "studio.cli.main", "studio.session.session", "studio.store.store"],
)
def test_each_entry_alone_loads_no_tensors(module: str) -> None:
    assert loaded_after([module], HEAVY) == ""


def test_torch_free_files_stay_torch_free() -> None:
    """Those the house plan names, and every other that says of itself that it imports no torch."""
    says = re.compile(r"imports? no torch|[Nn]o torch here")
    pipelines = [path for path in SOURCES if path.is_relative_to(ROOT / "pipelines")]
    saying = {module_name(path) for path in pipelines if says.search(path.read_text(encoding="utf-8"))}
    assert len(saying) > 5
    assert loaded_after(sorted(saying | set(TORCH_FREE)), (*HEAVY, "gradio", "fastapi", "typer", "sqlalchemy")) == ""


def test_the_command_line_loads_gradio_only_to_serve_and_a_command_only_when_it_runs() -> None:
    from studio.cli.main import COMMANDS

    commands = sorted({entry.partition(":")[0] for entry in COMMANDS.values()})
    assert loaded_after(commands, (*HEAVY, "gradio", "fastapi", "uvicorn")) == ""
    assert loaded_after(["studio.cli.main"], ("sqlalchemy", "alembic", *commands)) == ""
    assert loaded_after(["studio.cli.swap"], ("alembic",)) == ""


@pytest.mark.parametrize(
    ("libraries", "home"),
    [
        (("gradio", "gradio_client"), "studio/ui/"),
        (("fastapi", "starlette", "uvicorn"), "studio/api/"),
        (("typer", "click"), "studio/cli/"),
        (("sqlalchemy", "alembic"), "studio/store/"),
        (HEAVY, "pipelines/"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_library_has_one_home(libraries: tuple[str, ...], home: str) -> None:
    assert {path for path in importers(*libraries) if not path.startswith(home)} == set()


def test_nobody_below_knows_the_application() -> None:
    assert {path for path in importers("studio") if path.startswith("pipelines/")} == set()


def test_methods_do_not_import_each_other() -> None:
    methods = {module_name(path) for path in (ROOT / "pipelines" / "methods").glob("*.py")} - {"pipelines.methods"}
    assert methods
    for path in (ROOT / "pipelines" / "methods").glob("*.py"):
        assert methods & set(imported(path)) == set(), path


def test_packages_below_the_roots_have_empty_init_files() -> None:
    inits = [path for path in SOURCES if path.name == "__init__.py"]
    roots = [ROOT / "pipelines" / "__init__.py", ROOT / "studio" / "__init__.py"]
    assert [str(path) for path in inits if path not in roots and path.read_text().strip()] == []
    for root in roots:
        body = ast.parse(root.read_text()).body
        assert isinstance(body[0], ast.Expr)  # its docstring
        # And nothing else, but for what programs begin with, which is imported when it is asked for.
        more = {ast.unparse(node).partition("(")[0].partition(":")[0] for node in body[1:]}
        assert more <= {"from typing import TYPE_CHECKING, Any", "if TYPE_CHECKING", "def __getattr__"}


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in SOURCES if "migrations" not in path.parts}  # Alembic reads those by their path
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


# -------------------------------------------------------------------------------------------------- explanations


def test_every_module_says_what_lives_there() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in [*SOURCES, ROOT / "launch.py"]
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_method_can_be_found_and_every_knob_is_explained() -> None:
    from pipelines.catalog import CATALOG, preset
    from pipelines.contract import Quality
    from pipelines.params import checked, knobs

    for name, entry in CATALOG.items():
        module, _, function = entry.entry.partition(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert function in names, entry.entry
        assert entry.params.__doc__
        assert entry.paper
        assert entry.stages
        for field, (_, default, spec) in knobs(entry.params).items():
            assert len(spec.help) > 8, (name, field)
            if isinstance(default, int | float) and not isinstance(default, bool):
                assert spec.low is not None, (name, field)
                assert spec.high is not None, (name, field)
                assert spec.low <= default <= spec.high, (name, field)
        for quality in Quality:
            checked(entry.params, preset(name, quality))


def test_every_error_says_when_it_is_raised() -> None:
    import pipelines.errors
    import studio.errors

    for module, base in ((pipelines.errors, "PipelineError"), (studio.errors, "UserError")):
        tree = module.__doc__ or ""
        errors = [value for value in vars(module).values() if isinstance(value, type)]
        assert errors
        for error in errors:
            assert issubclass(error, getattr(module, base))
            assert error.__doc__
            assert error.__name__ in tree, f"{error.__name__} is missing from the tree in {module.__name__}"


def test_every_link_in_the_documents_leads_somewhere() -> None:
    links = re.compile(r"\]\((?!https?:)([^)#]+)|<img src=\"([^\"]+)")
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked("*.md")
        for match in links.finditer(path.read_text(encoding="utf-8"))
        if (target := match[1] or match[2]) and not (path.parent / target).exists()
    ]
    assert dead == []


def test_the_readme_names_only_commands_and_options_that_exist() -> None:
    import typer

    from studio.cli.main import app

    group = typer.main.get_command(app)
    context = typer.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}  # type: ignore[attr-defined]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"launch\.py (\w[\w-]*)", text):
        assert name in {*commands, "COMMAND"}, name
    every = [*commands.values(), *(sub for c in commands.values() for sub in getattr(c, "commands", {}).values())]
    known = {option for command in every for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= {*known, "--help", "--version"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    documents = text + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", documents, re.M)) <= set(targets)


def test_test_modules_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


# -------------------------------------------------------------------------------------- what must be nowhere


def test_no_file_names_a_machine_or_a_registry() -> None:
    folders = "|".join(("work", "root", "farm"))
    machine = re.compile(rf"(?<![\w./<-])/({folders})/\w")
    registry = re.compile(r"(index[-_]url|https?://[^\s\"')]*(pypi|pythonhosted|npmjs|download\.pytorch))", re.I)
    told = []
    for path in tracked("*.py", "*.toml", "*.txt", "*.md", "*.json", "*.js", "*.css", "*.svg", "Makefile", ".ci/run"):
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if machine.search(line) or registry.search(line):
                told.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert told == []


def test_constraints_are_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []


def test_every_dependency_is_pinned_inside_its_range() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    asked = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, asked):
        if requirement.name == project["name"]:
            continue
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize(
    "call", ["trust_remote_code=True", "weights_only=False", "pickle.load", "shell=True", "verify=False"]
)
def test_dangerous_calls_are_nowhere(call: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in SOURCES if call in path.read_text(encoding="utf-8")] == []


def test_checkpoints_are_read_as_weights_and_nothing_else() -> None:
    """`torch.load` without that runs whatever code the file holds."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in map(ast.unparse, node.keywords), f"{path}:{node.lineno}"


def test_one_file_loads_model_folders_and_never_a_pickle() -> None:
    """The trainers aside, which read only what they wrote. diffusers falls back to pickles unless it is told not to."""
    loaders = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if ".from_pretrained(" in path.read_text(encoding="utf-8") and path.parent.name != "toybox"
    }
    assert loaders == {"pipelines/models/loader.py"}
    loader = (ROOT / "pipelines" / "models" / "loader.py").read_text(encoding="utf-8")
    assert re.search(r"use_safetensors\W+True", loader)
    assert re.search(r"local_files_only\W+True", loader)


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.js", "*.css", "Makefile")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if later.search(line) or ("NotImplementedError" in line and path != Path(__file__))
    ]
    assert left == []
