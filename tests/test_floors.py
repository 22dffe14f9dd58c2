"""The layout of the package: an arrow only ever points down, and functions and classes stay small."""

from __future__ import annotations

import re
from pathlib import Path

import floors
import pytest

REPOSITORY = Path(__file__).parents[1]

# These may only fall.
LONG_FUNCTIONS = 2
LARGE_CLASSES = 1


@pytest.fixture(scope="module")
def modules() -> dict[str, Path]:
    return floors.read_modules(REPOSITORY)


@pytest.fixture(scope="module")
def imports(modules: dict[str, Path]) -> list[floors.Import]:
    return floors.read_imports(modules)


def test_every_room_is_on_a_floor(modules):
    assert {floors.room_of(module) for module in modules} == set(floors.FLOORS)


def test_no_arrow_points_up(imports):
    found = floors.upward(imports)
    assert not found, "\n".join(["imports of a higher floor:", *map(str, found)])


def test_no_circle_is_closed(imports):
    found = floors.circles(imports)
    assert not found, "\n".join(["modules that import each other:", *(" <-> ".join(circle) for circle in found)])


def test_rooms_that_need_no_torch_load_without_it(modules):
    assert not floors.loading_torch(modules)


def test_no_benchmark_has_the_name_of_a_helper():
    """Tests import both by their names alone."""
    names = [{file.stem for file in (REPOSITORY / folder).glob("*.py")} for folder in ("tests/helpers", "benchmarks")]
    assert all(names)
    assert not set.intersection(*names)


def test_benchmarks_import_names_that_exist(modules):
    files = sorted((REPOSITORY / "benchmarks").glob("*.py"))
    assert files
    found = floors.missing_names(files, modules)
    assert not found, "\n".join(found)


def test_long_functions_become_no_more(modules):
    found = floors.long_functions(modules)
    limit = f"at most {LONG_FUNCTIONS} functions may be longer than {floors.LONGEST_FUNCTION} lines:"
    assert len(found) <= LONG_FUNCTIONS, "\n".join([limit, *found])


def test_large_classes_become_no_more(modules):
    found = floors.large_classes(modules)
    limit = f"at most {LARGE_CLASSES} classes may have more than {floors.MOST_METHODS} methods:"
    assert len(found) <= LARGE_CLASSES, "\n".join([limit, *found])


@pytest.fixture
def toy_package(tmp_path: Path) -> Path:
    """A package whose decoding imports a command, and whose two pictures import each other inside functions."""
    files = {
        "__init__.py": "",
        "cli/__init__.py": "from capcli.pictures import read",
        "cli/caption.py": "",
        "decoding/__init__.py": "",
        "decoding/beam.py": "def search():\n    from capcli.cli import caption",
        "pictures/__init__.py": "",
        "pictures/find.py": "if TYPE_CHECKING:\n    from capcli.pictures.read import a, b",
        "pictures/read.py": "def read():\n    from . import find",
    }
    for name, text in files.items():
        file = tmp_path / "capcli" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_an_import_inside_a_function_counts(toy_package):
    found = floors.upward(floors.read_imports(floors.read_modules(toy_package)))
    assert [str(arrow) for arrow in found] == [
        f"{toy_package}/capcli/decoding/beam.py:2: capcli.decoding.beam -> capcli.cli.caption"
    ]


def test_a_circle_through_a_function_and_a_type_is_found(toy_package):
    imports = floors.read_imports(floors.read_modules(toy_package))
    assert floors.circles(imports) == [["capcli.pictures.find", "capcli.pictures.read"]]


def test_torch_is_found_behind_other_modules_and_packages(tmp_path):
    files = {
        "model/__init__.py": "import torch",
        "model/options.py": "",
        "files/lock.py": "try:\n    from capcli.model.options import option\nexcept ImportError: pass",
        "files/names.py": "def escape():\n    import torch",
        "files/json.py": "from capcli.files import lock",
    }
    for name, text in files.items():
        file = tmp_path / "capcli" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert floors.loading_torch(floors.read_modules(tmp_path)) == ["capcli.files.json", "capcli.files.lock"]


def test_a_name_that_its_module_lacks_is_found(toy_package):
    script = toy_package / "script.py"
    script.write_text(
        "from capcli.decoding.beam import search\nfrom capcli.pictures import read\n"
        "def main():\n    from capcli.pictures.read import read, write\n"
    )
    found = floors.missing_names([script], floors.read_modules(toy_package))
    assert found == [f"{script}:4: capcli.pictures.read has no write"]


def test_lines_and_methods_are_counted(tmp_path):
    file = tmp_path / "capcli" / "one.py"
    file.parent.mkdir()
    methods = "".join(f"    def m{number}(self): pass\n" for number in range(floors.MOST_METHODS))
    body = "    pass\n" * (floors.LONGEST_FUNCTION - 1)
    file.write_text(f"class Full:\n{methods}def full():\n{body}")
    modules = {"capcli.one": file}
    assert (floors.long_functions(modules), floors.large_classes(modules)) == ([], [])
    file.write_text(f"class Fuller:\n{methods}    def more(self): pass\ndef fuller():\n{body}    pass\n")
    assert floors.large_classes(modules) == [f"{file}:1: Fuller has 13 methods"]
    assert floors.long_functions(modules) == [f"{file}:15: fuller has 61 lines"]


def test_the_documents_name_the_rooms_from_the_top_down():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    rooms = [room for room in floors.FLOORS if room.isidentifier() and not room.startswith("_")]
    assert named[: len(rooms)] == rooms


def test_every_path_in_the_documents_exists():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", page)
    assert len(paths) > 40
    places = (REPOSITORY, REPOSITORY / "capcli")
    assert not [path for path in paths if not any((place / path).exists() for place in places)]
