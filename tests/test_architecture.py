"""Architecture: the storeys of the house, held by the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import fitwell

ROOT = Path(fitwell.__file__).parent

# A file imports only from its own storey or those above it in this list.
STOREYS = (
    ("errors", "_version", "arguments", "directories", "extras", "startup", "trees"),
    ("regularization",),
    ("data",),
    ("engine",),
    ("analysis",),
    ("report",),
    ("keras",),
    ("tfjs",),
    ("results",),
    ("problems",),
    ("studies",),
    ("api",),
    ("__main__",),
)
LEVELS = {name: level for level, names in enumerate(STOREYS) for name in names}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem != "__init__")


def module_of(path: Path) -> str:
    """The dotted name of a file, of a package's `__init__` the package's."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all of fitwell that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "fitwell")
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("fitwell"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


MODULES = {module_of(path) for path in FILES}
IMPORTS = {module_of(path): set(imported(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}


def storey(module: str) -> int:
    """The storey of a module, by the first name below `fitwell`; the package itself is above all."""
    parts = module.split(".")
    return LEVELS[parts[1]] if len(parts) > 1 else len(STOREYS)


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_a_file_imports_from_its_own_storey_or_those_above(module: str) -> None:
    """Data flows one way: no file imports from a storey that comes after its own."""
    wrong = sorted(name for name in IMPORTS[module] if storey(name) > storey(module))
    assert not wrong


def test_every_file_has_a_storey() -> None:
    """A new file or directory must be put into the list above, and nothing imports by relative names."""
    assert {module.split(".")[1] for module in IMPORTS} <= set(LEVELS)
    for path in FILES:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level > 0], path


def test_every_storey_is_there() -> None:
    """A storey that is named is a file or a directory of files; one that has gone must go from the list, too."""
    missing = [name for name in LEVELS if not (ROOT / f"{name}.py").is_file() and not any((ROOT / name).glob("*.py"))]
    assert missing == []
    assert not (ROOT / "searches").exists()  # the break: such a name would be missing


def public_names(tree: ast.Module) -> Iterator[str]:
    """Names of functions, classes and constants at the top of a file, without those that begin with an underscore."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = [node.target.id] if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else []
        yield from (name for name in names if not name.startswith("_"))


def twice(names: Iterable[str]) -> list[str]:
    """Names that come more than once."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def test_no_name_stands_for_two_things() -> None:
    """No two files, and no two public things at the top of files, have one name; a second one would be seen."""
    assert twice(path.name for path in FILES if path.name != "__init__.py") == []
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in FILES]
    # fitwell.load and fitwell.tfjs.load are what json.load and pickle.load are: each by its module's name
    assert twice(name for tree in trees for name in public_names(tree)) == ["load"]
    both = [ast.parse("class Search: ..."), ast.parse("Search: int = 1\ndef _search(): ...")]
    assert twice(name for tree in both for name in public_names(tree)) == ["Search"]


def test_the_reading_of_imports_sees_them() -> None:
    """The counterpart: imports are found wherever they stand, so a wrong one would be."""
    source = (
        "import fitwell.api.cli\ndef f():\n    from fitwell.engine import noise\n    from fitwell.errors import E\n"
    )
    assert set(imported(ast.parse(source))) == {"fitwell.api.cli", "fitwell.engine.noise", "fitwell.errors"}
    assert "fitwell.engine.noise" in IMPORTS["fitwell.engine.program"]
    assert storey("fitwell.api.cli") > storey("fitwell.engine.noise")


def test_no_import_cycles() -> None:
    """Files import one another in no circle; a circle would be seen."""
    order = list(TopologicalSorter(IMPORTS).static_order())
    assert order.index("fitwell.errors") < order.index("fitwell.engine.training")
    with pytest.raises(CycleError):
        list(TopologicalSorter({**IMPORTS, "fitwell.errors": {"fitwell.engine.training"}}).static_order())


# An attribute set by its name is seen by no type checker and no reader of the class: each such call has its reason.
SET_BY_NAME = {
    "fitwell.keras.closing: setattr(new, argument)": "a regularizer argument of Keras's own, of several",
    "fitwell.keras.hooks: setattr(cell, method)": "one of Keras's own two methods that draw a recurrent cell's dropout",
    "fitwell.keras.layers: object.__setattr__(layer, '_rate')": "past Keras, which would count it among the weights",
}


def set_by_name(module: str, tree: ast.AST) -> set[str]:
    """The calls of a file that set an attribute by its name, each with whose attribute and which."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    setters = [call for call in calls if ast.unparse(call.func).split(".")[-1] in ("setattr", "__setattr__")]
    return {f"{module}: {ast.unparse(call.func)}({', '.join(map(ast.unparse, call.args[:2]))})" for call in setters}


def test_data_ride_on_no_attribute_of_others() -> None:
    """Data of ours pass through arguments and fields: no Keras model carries them, no frozen dataclass is changed."""
    trees = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    found = set().union(*(set_by_name(module, tree) for module, tree in trees.items()))
    assert found == set(SET_BY_NAME)


def test_the_reading_of_attributes_sees_them() -> None:
    """The counterpart: data hidden on a model, and a changed frozen dataclass, are found wherever they stand."""
    source = "def f(model, plan):\n    setattr(model, METADATA, {})\n    object.__setattr__(plan, 'size', 3)\n"
    found = set_by_name("fitwell.x", ast.parse(source))
    assert found == {"fitwell.x: setattr(model, METADATA)", "fitwell.x: object.__setattr__(plan, 'size')"}
    assert not found <= set(SET_BY_NAME)


def loaded_by(code: str) -> set[str]:
    """Which heavy libraries a fresh Python has loaded after some code."""
    heavy = ("jax", "keras", "sklearn", "optax", "scipy", "matplotlib", "pandas", "tensorflow", "torch")
    script = f"{code}\nimport sys\nprint(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stderr.split())


def test_importing_fitwell_is_light() -> None:
    """`import fitwell` loads neither JAX nor Keras nor scikit-learn; using the engine does load JAX."""
    assert not loaded_by("import fitwell")
    assert not loaded_by("from fitwell import Regularization, InputError")
    assert "matplotlib" not in loaded_by("import fitwell.results.result, fitwell.results.diagnosis")
    assert "jax" in loaded_by("import fitwell.engine.noise")


def test_help_is_light() -> None:
    """`fitwell --help` loads neither JAX nor Keras nor scikit-learn."""
    code = "import sys\nfrom fitwell.api.cli import main\nsys.argv = ['fitwell', '--help']\n"
    assert not loaded_by(f"{code}try:\n    main()\nexcept SystemExit as done:\n    assert not done.code")


def test_all_names_are_sorted_and_there() -> None:
    """`fitwell.__all__` is sorted, each name in it can be had, and every public name is in it."""
    assert list(fitwell.__all__) == sorted(fitwell.__all__)
    assert len(set(fitwell.__all__)) == len(fitwell.__all__)
    assert all(getattr(fitwell, name) is not None for name in fitwell.__all__)
    assert dir(fitwell) == sorted(fitwell.__all__)
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fitwell")
        for alias in node.names
        if not (alias.asname or "").startswith("_")
    }
    assert named == set(fitwell.__all__)


def test_names_that_are_not_there() -> None:
    """An unknown name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="module 'fitwell' has no attribute 'fit'"):
        fitwell.fit  # noqa: B018
