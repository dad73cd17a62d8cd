"""Who may import whom, read from the source: the three places stay three places."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MINIVAE = sorted((ROOT / "minivae").rglob("*.py"))
KERNELS = sorted((ROOT / "kernels").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HEAVY = {"numba", "cupy", "matplotlib", "sklearn", "safetensors", "typer", "rich"}

pytestmark = pytest.mark.skipif(not KERNELS, reason="the source tree is not beside the tests")


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names of the modules a file imports, anywhere or only when it is itself imported."""
    return imported(ast.parse(path.read_text(encoding="utf-8")), top_level=top_level)


def imported(tree: ast.AST, *, top_level: bool = False) -> set[str]:
    nodes = list(ast.walk(tree))
    if top_level:
        inner = {
            child
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
            for child in ast.walk(node)
        }
        nodes = [node for node in nodes if node not in inner]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MINIVAE, ids=place)
def test_only_the_backend_and_the_command_line_name_the_kernels(path):
    if place(path) not in {"minivae/backend.py"}:
        assert "minivae_kernels" not in roots(imports(path))


@pytest.mark.parametrize("path", KERNELS, ids=place)
def test_kernels_never_import_minivae(path):
    found = roots(imports(path))
    assert not found & {"minivae", "benchmarks"}
    if not any(part in path.parts for part in ("cpu", "gpu", "ladder")):
        assert not roots(imports(path, top_level=True)) & {"numba", "cupy"}


@pytest.mark.parametrize("path", [p for p in MINIVAE if "ops" in p.parts], ids=place)
def test_ops_import_numpy_only(path):
    allowed = {"__future__", "numpy", "math", "typing", "collections", "minivae"}
    if path.name == "record.py":
        allowed |= {"dataclasses", "inspect"}  # records, and the names of a function's arguments
    assert roots(imports(path)) <= allowed
    mine = {n for n in imports(path) if n.startswith("minivae")}
    assert all(n.startswith(("minivae.ops", "minivae.types")) for n in mine)


# Each place uses those of lower levels, wherever in a file it imports them.
LEVELS = (
    {"types", "messages", "processes"},
    {"settings", "ops", "verify", "machine", "params"},
    {"parts", "backend", "adapters"},
    {"layers", "data", "explain"},
    {"models", "plots"},
    {"runs", "metrics", "proof", "sampling", "trace"},
    {"training", "racing", "exports", "sweeps"},
    {"estimators", "published"},
    {"explore"},
    {"play"},
    {"study"},
    {"cli"},
)


def part_of(module: str) -> str:
    """The folder or file right below minivae/ in which a module stands."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", MINIVAE, ids=place)
def test_lower_places_never_import_higher_ones(path):
    here = part_of(module_name(path))
    if here in ("", "__main__"):
        return
    below = set().union(*LEVELS[: next(i for i, level in enumerate(LEVELS) if here in level)])
    used = {part_of(name) for name in imported_modules(path) if name.startswith("minivae.")}
    assert used <= below | {here}, used - below


def module_name(path: Path) -> str:
    """The dotted name by which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "kernels" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in MINIVAE + KERNELS + BENCHMARKS}


def imported_modules(path: Path) -> set[str]:
    """Our modules that a file imports anywhere: at its top, in a function, or for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = module_name(path)
    package = here if path.stem == "__init__" else here.rpartition(".")[0]
    return modules_in(tree, MODULES, package) - {here}


def modules_in(tree: ast.AST, modules: set[str], package: str = "") -> set[str]:
    """Those of `modules` that a source imports; by `from package import module` the module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            given = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(given, package)
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= (names & modules) | ({base} if names - modules else set())
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            found |= {str(getattr(argument, "value", "")) for argument in node.args}
    return found & modules


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import one another in a ring, the first one again at the end; [] if none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_nothing_imports_in_circles():
    """Not by an import within a function either, nor by one for types alone."""
    paths = MINIVAE + KERNELS + BENCHMARKS
    assert circle({module_name(path): imported_modules(path) for path in paths}) == []


@pytest.mark.parametrize(
    "back",
    [
        "import a.low", "from a.low import f", "from a import low", "from a import X, low",
        "from . import low", "from .low import f",
        "def f():\n    from a.low import g", "class C:\n    def f(self):\n        import a.low",
        "if TYPE_CHECKING:\n    from a.low import g",
        "import importlib\nimportlib.import_module('a.low')",
    ],
)  # fmt: skip
def test_a_circle_would_be_seen(back):
    modules = {"a", "a.low", "a.middle", "a.high"}
    sources = {"a": "", "a.low": "import a.middle", "a.middle": "from a import high"}
    forth = {name: modules_in(ast.parse(text), modules) for name, text in sources.items()}
    assert circle(forth) == []
    found = circle({**forth, "a.high": modules_in(ast.parse(back), modules, "a")})
    assert set(found) == {"a.low", "a.middle", "a.high"}


@pytest.mark.parametrize("path", MINIVAE, ids=place)
def test_no_autograd(path):
    assert not roots(imports(path)) & {"torch", "jax", "tensorflow", "autograd"}


PICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
# Calls that unpickle, and what makes them plain: Numba's own cache pickles as well.
UNPICKLE = {"allow_pickle": "False", "weights_only": "True", "cache": "False"}


def pickling(source: str) -> list[str]:
    """What a source does with pickles: imports of what writes or reads them, and such calls."""
    tree = ast.parse(source)
    names = {part for name in imported(tree) for part in name.split(".")}
    # joblib runs functions in processes of its own here; its dump and load would be pickles
    names -= {"joblib"} if not names & {"load", "dump"} else set()
    found = sorted(names & (PICKLERS | {"serialize"}))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg in UNPICKLE}
            if "jit" not in name and "vectorize" not in name:
                given.pop("cache", None)
            if name == "torch.load":
                given.setdefault("weights_only", "False")
            found += [f"{name}({k}={v})" for k, v in given.items() if v != UNPICKLE[k]]
            if name in ("__import__", "import_module", "importlib.import_module"):
                found += [a.value for a in node.args if getattr(a, "value", None) in PICKLERS]
    return found


@pytest.mark.parametrize("path", MINIVAE + KERNELS + BENCHMARKS, ids=place)
def test_no_pickle_anywhere(path):
    assert pickling(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import marshal as m", "from shelve import open", "import dill.source",
        "def f():\n    from joblib import load", "from numba import cloudpickle",
        "from numba.core import serialize", "__import__('pickle')",
        "import importlib\nimportlib.import_module('pickle')",
        "np.load(path, allow_pickle=True)", "np.load(path, allow_pickle=sure)",
        "torch.load(path)", "torch.load(path, weights_only=False)",
        "@njit(cache=True)\ndef f(): pass", "numba.jit('f8(f8)', cache=sure)(f)",
    ],
)  # fmt: skip
def test_a_pickle_would_be_seen(source):
    assert pickling(source)
    assert not pickling(
        "np.load(p, allow_pickle=False); torch.load(p, weights_only=True); f(cache=1)"
    )


@pytest.mark.parametrize("path", [p for p in MINIVAE if "ops" in p.parts], ids=place)
def test_ops_draw_nothing_and_keep_the_dtype(path):
    """No np.random, and none of the functions that lose an imaginary part without a word."""
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    lossy = {f"np.{f}" for f in ("abs", "sign", "conj", "vdot", "maximum", "minimum", "zeros")}
    assert not calls & (lossy | {"np.linalg.norm", "abs", "max", "min"})
    assert not any("np.random" in call for call in calls)


def test_bare_import_is_light():
    script = (
        f"import sys, minivae; print(sorted({HEAVY!r} & {{m.split('.')[0] for m in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_files_stay_readable():
    """The guide is 250 lines; a file beyond 320 has become two files."""
    sources = MINIVAE + KERNELS + BENCHMARKS + TESTS
    too_long = {place(p): n for p in sources if (n := len(p.read_text().splitlines())) > 320}
    assert not too_long
