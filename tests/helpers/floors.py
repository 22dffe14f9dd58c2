"""What the package's modules import, those imports inside functions too, held against the floors that they live on.

As a program it prints what it found, and how long functions and classes are: `python tests/helpers/floors.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FLOORS = (
    "__main__",
    "cli",
    "",  # the package itself: `from capcli import Captioner`
    "compression",
    "training",
    "catalogue",
    "speed",
    "evaluation",
    "video",
    "serve",
    "web",
    "ratings",
    "heatmap",
    "metadata",
    "ray",
    "runs",
    "captioner",
    "huggingface",
    "captioning",
    "caption",
    "attribution",
    "library",
    "output",
    "keywords",
    "engines",
    "known",
    "hub",
    "modelfile",
    "decoding",
    "model",
    "datasets",
    "pictures",
    "metrics",
    "files",
    "words",
    "arrays",
    "options",
    "errors",
    "version",
)
"""The rooms of capcli from the top to the ground: each may import those below it."""

WITHOUT_TORCH = (
    "__main__", "cli", "", "catalogue", "speed", "evaluation", "video", "serve", "web", "ratings", "heatmap",
    "metadata", "ray", "runs", "captioner", "captioning", "caption", "attribution", "library", "output", "keywords",
    "known", "hub", "pictures", "datasets", "metrics", "files", "words", "arrays", "options", "errors", "version",
)  # fmt: skip
"""Rooms that load without torch, which takes seconds; their functions may import it."""

_TORCH = ("torch", "torchvision", "safetensors.torch")

LONGEST_FUNCTION = 60
"""Lines, from `def` or its first decorator to the end."""

MOST_METHODS = 12

PACKAGE = "capcli"


@dataclass(frozen=True)
class Import:
    """One module imports another.

    Attributes:
        file: of the module that imports.
        line: where it does.
        source: its name.
        target: the name of the other.
    """

    file: Path
    line: int
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.source} -> {self.target}"


def read_modules(folder: Path) -> dict[str, Path]:
    """Files of the package by the names of their modules; `folder` is the one that holds the package."""
    modules = {}
    for file in sorted((folder / PACKAGE).rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return modules


@cache
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


def read_imports(modules: Mapping[str, Path]) -> list[Import]:
    """Every import of one module by another, wherever in its file it stands and whenever it is run."""
    imports = [
        Import(file, line, source, target)
        for source, file in modules.items()
        for line, target in _targets(_parse(file.read_text(encoding="utf-8")), source, file, modules)
        if target != source
    ]
    return list(dict.fromkeys(imports))  # several names of one module are one import


def _targets(tree: ast.AST, source: str, file: Path, modules: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == PACKAGE:
                    yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = source.split(".") if file.name == "__init__.py" else source.split(".")[:-1]
                kept = package[: len(package) - node.level + 1]
                origin = ".".join([*kept, *([node.module] if node.module else [])])
            if origin.split(".")[0] == PACKAGE:
                for name in node.names:
                    submodule = f"{origin}.{name.name}"
                    yield node.lineno, submodule if submodule in modules else origin


def room_of(module: str) -> str:
    """The room that a module is in, as `FLOORS` calls it."""
    return module.split(".")[1] if "." in module else ""


def upward(imports: list[Import]) -> list[Import]:
    """Those imports that lead from a room to one above it."""
    floor = {room: number for number, room in enumerate(FLOORS)}
    return [edge for edge in imports if floor[room_of(edge.target)] < floor[room_of(edge.source)]]


def circles(imports: list[Import]) -> list[list[str]]:
    """Sets of modules that each import all others of their set, in the end: the strongly connected ones."""
    targets: dict[str, set[str]] = {}
    for edge in imports:
        targets.setdefault(edge.source, set()).add(edge.target)
    reached = {module: _reach(module, targets) for module in targets}
    found = {
        frozenset(other for other in reach if module in reached.get(other, ()))
        for module, reach in reached.items()
        if module in reach
    }
    return sorted(sorted(circle) for circle in found)


def _reach(start: str, targets: Mapping[str, set[str]]) -> set[str]:
    """All modules that are imported by one, those that their imports import included; itself if a way leads back."""
    reached: set[str] = set()
    waiting = list(targets[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += targets.get(module, ())
    return reached


def loading_torch(modules: Mapping[str, Path]) -> list[str]:
    """Modules in the rooms of `WITHOUT_TORCH` that load torch as they are imported, or import one that does."""
    at_once = {
        module: set(_loaded(_parse(file.read_text(encoding="utf-8")).body, modules)) for module, file in modules.items()
    }
    # A module loads the packages that it lies in, too.
    for module in modules:
        at_once[module].update(name for name in modules if module.startswith(f"{name}."))
    return [
        module
        for module in modules
        if room_of(module) in WITHOUT_TORCH and any(name in _TORCH for name in _reach(module, at_once))
    ]


def _loaded(body: Sequence[ast.stmt], modules: Mapping[str, Path]) -> Iterator[str]:
    """What is imported while a module is: outside of functions, and not for types alone."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                submodule = f"{node.module}.{name.name}"
                yield submodule if submodule in modules else node.module or ""
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _loaded([*node.body, *node.orelse], modules)
        elif isinstance(node, ast.Try):
            yield from _loaded([*node.body, *node.orelse, *node.finalbody], modules)


def missing_names(files: Iterable[Path], modules: Mapping[str, Path]) -> list[str]:
    """A line for each name that a file imports from a module of the package, which has none of that name."""
    known = {module: _defined(_parse(file.read_text(encoding="utf-8")).body) for module, file in modules.items()}
    lines = []
    for file in files:
        for node in ast.walk(_parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
                names = known.get(node.module, set())
                lines += [
                    f"{file}:{node.lineno}: {node.module} has no {name.name}"
                    for name in node.names
                    if name.name not in names and f"{node.module}.{name.name}" not in modules
                ]
    return lines


def _defined(body: Sequence[ast.stmt]) -> set[str]:
    """Names of a module: what it defines, imports, at once or for types alone."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((name.asname or name.name).split(".")[0] for name in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        elif isinstance(node, (ast.If, ast.Try)):
            names |= _defined([*node.body, *node.orelse])
    return names


def long_functions(modules: Mapping[str, Path]) -> list[str]:
    """A line for each function of more than `LONGEST_FUNCTION` lines."""
    return [
        f"{file}:{node.lineno}: {node.name} has {lines} lines"
        for file in modules.values()
        for node in ast.walk(_parse(file.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (lines := _lines(node)) > LONGEST_FUNCTION
    ]


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or first) - first + 1


def large_classes(modules: Mapping[str, Path]) -> list[str]:
    """A line for each class of more than `MOST_METHODS` methods."""
    found = []
    for file in modules.values():
        for node in ast.walk(_parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
                if len(methods) > MOST_METHODS:
                    found.append(f"{file}:{node.lineno}: {node.name} has {len(methods)} methods")
    return found


def main() -> None:
    """Prints every arrow that points up, every circle, every long function and every large class."""
    modules = read_modules(Path(__file__).parents[2])
    imports = read_imports(modules)
    for title, lines in (
        ("arrows that point up", [str(edge) for edge in upward(imports)]),
        ("circles", [" <-> ".join(circle) for circle in circles(imports)]),
        ("modules that should load without torch", loading_torch(modules)),
        (f"functions of more than {LONGEST_FUNCTION} lines", long_functions(modules)),
        (f"classes of more than {MOST_METHODS} methods", large_classes(modules)),
    ):
        print(f"{title}: {len(lines)}", *lines, sep="\n  ")
    print(f"modules: {len(modules)}, imports among them: {len(imports)}")


if __name__ == "__main__":
    main()
