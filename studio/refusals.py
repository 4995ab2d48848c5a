"""Writes ``docs/refusals.md``, every message that refuses something: ``python -m studio.refusals``.

The messages are read from the source, where an error of a person's (`PipelineError`, `UserError`) is made, or what is
wrong with a file is told; so the list cannot say what the program does not. A test compares.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "refusals.md"
PACKAGES = ("pipelines", "studio")
FAMILIES = ("PipelineError", "UserError")
OTHERS = {"typer.BadParameter", "BadParameter", "PlainTextResponse", "BadArchive", "NothingToAnimate", "RecipeTooLong"}
"""Of other families, or what the command line and the routes answer with themselves."""
TITLES = {
    "pipelines": "Requests and pictures",
    "pipelines.compose": "Composing a scene",
    "pipelines.instructions": "Sentences",
    "pipelines.layered": "The layered method",
    "pipelines.masks": "Masks and segmenters",
    "pipelines.methods": "Methods",
    "pipelines.models": "Models and LoRA files",
    "pipelines.diffusion": "Sampling",
    "pipelines.evaluation": "Measuring",
    "pipelines.toybox": "The embedded models",
    "pipelines.training": "Training",
    "studio": "The studio",
    "studio.api": "The routes",
    "studio.cli": "The command line",
    "studio.exports": "Exports",
    "studio.history": "Timelines",
    "studio.jobs": "Jobs",
    "studio.session": "Sessions",
    "studio.store": "The data folder and session files",
    "studio.ui": "The page",
    "studio.verbs": "Programs",
}
_EXPECTED = re.compile(
    r"\b(must|needs?|need to|expected|should|at most|at least|may have|has 1 to|is like|like https?|between|only|holds|"
    r"lasts|lies within|named by|named values|yes or no|chosen by|(is|are) read|instead of|can be compared|takes)\b",
    re.IGNORECASE,
)
_CAME = re.compile(
    r"^\W*(got|it has|it is|it fills|it asks|it holds|it took|found|they have|there are|theirs are|this one has|has|"
    r"here|its first|first|they|one has|it says|it names|among|the file has|this session has|this one is|the answer|"
    r"this is|this one's has|its SHA-256)\b"
)
_TODO = re.compile(
    r"^\W*(or |and |then |so |please |if you \w+ it, |for \w+ |with \w+ )?"
    r"(accept|add|adopt|ask|bring|check|choose|click|close|convert|copy|create|crop|cut|delete|discard|do|download|drop|"
    r"duplicate|end|export|fetch|fill|free|get|give|go|import|install|keep|leave|let|look|lower|make|mark|merge|move|"
    r"name|open|paint|pick|point|press|pull|put|reload|remove|rename|restore|run|save|say|select|send|set|show|stand|"
    r"start|stop|take|train|try|undo|unpack|unset|update|upload|use|wait|write)\b",
    re.IGNORECASE,
)
HELPS = {
    "pipelines.models": "Where a model's own files are missing, damaged or do not fit each other, copy or pull all of "
    "it again; `launch.py models` lists every model with what is wrong with it.",
    "studio.store": "Where a session file is refused, export it again in the studio that holds the session: what was "
    "changed afterwards, by hand or on the way, is not taken in.",
}
"""What helps with all of one place that say nothing of it themselves."""


@dataclass(frozen=True)
class Refusal:
    """One message, as the source has it: what is filled in stands in angle brackets."""

    place: str
    """The part of the program, a key of `TITLES`."""
    module: str
    message: str

    def parts(self) -> tuple[str, str, str, str]:
        """What is said, what was expected, what came, and what to do; each empty where the message has no such part."""
        found: dict[str, list[str]] = {"said": [], "expected": [], "came": [], "todo": []}
        for clause in re.split(
            r"; |\? |\. (?=[A-Z<])|: (?=expected)|, but |: (?=check |accept |say |choose )|\.$", self.message
        ):
            clause = clause.strip()
            kind = (
                "todo"
                if _TODO.search(clause) and not clause.startswith("<")
                else "came"
                if _CAME.search(clause)
                else "expected"
                if _EXPECTED.search(clause)
                else "said"
            )
            if clause:
                found[kind].append(clause)
        said, expected, came, todo = ("; ".join(clauses) for clauses in found.values())
        return said, expected, came, todo


def refusals(root: Path = ROOT) -> list[Refusal]:
    """Every message of the source under `root`, in the order in which it stands there, each once."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        if path.name != "refusals.py"
    }
    own = {_module(path, root): _constants(tree) for path, tree in trees.items()}
    kinds = _errors(list(trees.values()))
    found: dict[tuple[str, str], Refusal] = {}
    for path, tree in trees.items():
        module = _module(path, root)
        place = max((name for name in TITLES if f"{module}.".startswith(f"{name}.")), key=len)
        for message in _messages(tree, kinds, _imported(tree, own) | own[module]):
            found.setdefault((place, message), Refusal(place, module, message))
    return list(found.values())


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts)


def _errors(trees: list[ast.Module]) -> set[str]:
    """The names of all errors of a person's."""
    known = {*FAMILIES}
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in classes:
        known |= {c.name for c in classes if any(isinstance(b, ast.Name) and b.id in known for b in c.bases)}
    return known


def _constants(tree: ast.Module) -> dict[str, str]:
    """Texts and numbers that a module gives a name, by that name."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            if isinstance(value, str | int | float):
                found[node.targets[0].id] = value if isinstance(value, str) else f"{value:,}"
    return found


def _imported(tree: ast.Module, own: dict[str, dict[str, str]]) -> dict[str, str]:
    """The same of what it imports of others."""
    return {
        alias.asname or alias.name: own[node.module][alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module in own
        for alias in node.names
        if alias.name in own[node.module]
    }


def _messages(tree: ast.Module, kinds: set[str], texts: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in kinds | OTHERS:
            written = [node.args[0]]
        elif isinstance(node, ast.FunctionDef) and ("fault" in node.name or node.name in ("_unknown", "_stranger")):
            lists = [n for n in ast.walk(node) if isinstance(n, ast.List)]
            returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
            written = [each for n in lists for each in n.elts] + returned
            written = [each for each in written if isinstance(each, ast.JoinedStr | ast.Constant)]
        else:
            continue
        for each in written:
            for message in _said(each, texts):
                message = " ".join(message.split())
                if " " in message and re.search(r"[a-z]{3} ", message):
                    yield message


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ast.unparse(function)


def _said(node: ast.expr, texts: dict[str, str]) -> list[str]:
    """What an expression says: one text, or one for each way it may go."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return [*_said(node.body, texts), *_said(node.orelse, texts)] or []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        ends = _said(node.right, texts) or [""]
        return [begin + end for begin in _said(node.left, texts) for end in dict.fromkeys(ends)]
    if isinstance(node, ast.Name) and node.id in texts:
        return [texts[node.id]]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _said(node.func.value, texts)
    if isinstance(node, ast.JoinedStr):
        return ["".join(_piece(part, texts) for part in node.values)]
    return []


def _piece(part: ast.expr, texts: dict[str, str]) -> str:
    """One part of a text that is put together."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    value = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(value, ast.Name) and value.id in texts:
        return texts[value.id]
    if isinstance(value, ast.IfExp):
        ways = [way.strip() for branch in (value.body, value.orelse) for way in _said(branch, texts)]
        return f"<{' | '.join(way for way in ways if way)}>" if any(ways) else "<…>"
    if (
        isinstance(value, ast.Call)
        and value.args
        and _name(value.func) in ("str", "came", "len", "_short", "repr", "int")
    ):
        value = value.args[0]
    names = [
        n.attr if isinstance(n, ast.Attribute) else n.id for n in [value] if isinstance(n, ast.Attribute | ast.Name)
    ]
    return f"<{names[0].strip('_').replace('_', ' ').lower()}>" if names else "<…>"


def document(found: list[Refusal]) -> str:
    """The page of the documentation."""
    lines = [
        "# What is refused, and what helps",
        "",
        "Every message that a person can get for what cannot be done, as it stands in the source: what is filled in",
        "stands in ‹angles›. Written by `python -m studio.refusals`; do not edit it by hand.",
        "",
    ]
    for place, title in TITLES.items():
        of_place = [refusal for refusal in found if refusal.place == place]
        if of_place:
            lines += [f"## {title}", "", *([HELPS[place], ""] if place in HELPS else [])]
            lines += ["| what is said | expected | came | what to do |", "| --- | --- | --- | --- |"]
            lines += [f"| {' | '.join(_cell(part) for part in refusal.parts())} |" for refusal in of_place]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A cell of a table in Markdown, in which angle brackets and bars would be read as something else."""
    return text.replace("|", "\\|").replace("<", "‹").replace(">", "›").replace("*", "\\*").replace("`", "") or "–"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m studio.refusals", description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="the file to write")
    parser.parse_args().out.write_text(document(refusals()), encoding="utf-8")
