"""The rules of the house, read off the source: who may import whom, single homes, budgets, no code from data."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "napari_pu_segment"
SOURCE = ROOT / "src" / PACKAGE
FILES = {str(path.relative_to(SOURCE)): path for path in sorted(SOURCE.rglob("*.py"))}

# Each room of the package, and the rooms that it may import. The face, `__init__`, is lazy and open to all.
MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "synthetic": {"core"},
    "synthetic_sky": {"core"},
    "figures": set(),
    "batch": {"figures", "io", "core"},
    "cluster": {"batch", "io", "core"},
    "series_files": {"figures", "io", "core"},
    "image_set": {"batch", "io", "core"},
    # gui for the command that opens it
    "cli": {
        "gui",
        "cluster",
        "image_set",
        "batch",
        "series_files",
        "figures",
        "synthetic",
        "synthetic_sky",
        "io",
        "core",
    },
    "gui": {"cluster", "image_set", "batch", "series_files", "figures", "synthetic", "synthetic_sky", "io", "core"},
    "__main__": {"cli"},
    "__init__": {"core"},
}
GUI_TOOLKITS = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "psygnal", "vispy"}
NOT_IN_CORE = {*GUI_TOOLKITS, "distributed", "typer", "rich", "tifffile", "imageio"}

# A thing, and the only files that may import it.
SINGLE_HOMES = {
    "pydensecrf": {"core/crf/backends.py"},
    "subprocess": {"core/compute/child_process.py"},
    "multiprocessing": set(),
    "threading": {"gui/jobs.py", "core/compute/child_process.py"},  # the child's only waits for its parent's end
    "concurrent.futures": {"cluster/jobs.py", "cluster/workers.py"},  # what waits for the event loop of Dask
    "qtpy.QtCore.QThread": set(),
    "qtpy.QtCore.QThreadPool": set(),
    "superqt.utils.thread_worker": set(),
    "napari.qt.threading": set(),
    "tifffile": {"io/formats.py", "io/tiff.py", "io/tiff_meta.py", "io/tiff_write.py"},
    "PIL": {"io/formats.py", "io/tiff.py", "io/write.py", "figures.py", "batch/pictures.py"},
    "imageio": set(),
    "numcodecs": {"io/zarr_codec.py"},
    "zarr": set(),  # chunks are read and written by io, which trusts no name of a codec in a file
    "safetensors": {"core/model.py", "core/training/checkpoint.py", "core/pretraining/weights.py"},
    "huggingface_hub": {"io/hub.py"},
}
LABEL_CODES = {"UNLABELED", "POSITIVE", "NEGATIVE", "IGNORE"}

RUNS_CODE_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code"}
RUNS_CODE_CALLS = {
    *("eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load", "yaml.load"),
    *("yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "shutil.unpack_archive"),
}
NETWORK = {"socket", "socketserver", "http", "urllib.request", "requests", "httpx", "aiohttp", "ftplib", "xmlrpc"}

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PUBLIC_METHODS = 300, 40, 15


def imported(tree: ast.AST, file: str) -> set[str]:
    """Absolute dotted names of all that a file imports, wherever in it the import stands."""
    names: set[str] = set()
    here = [PACKAGE, *Path(file).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def imports_any(names: set[str], banned: set[str]) -> set[str]:
    return {name for name in names if any(name == b or name.startswith(b + ".") for b in banned)}


def room(file: str) -> str:
    return Path(file).parts[0].removesuffix(".py")


def wrong_rooms(tree: ast.AST, file: str) -> set[str]:
    """Imports of this package that the file's room may not make."""
    wrong = set()
    for name in imported(tree, file):
        parts = name.split(".")
        if parts[0] != PACKAGE or len(parts) < 2:
            continue
        target = parts[1]
        if target in MAY_IMPORT and target != room(file) and target not in MAY_IMPORT[room(file)]:
            wrong.add(name)
    return wrong


def family_of(folder: str, pattern: str) -> dict[str, str]:
    """The files in one folder and below whose stem matches a pattern, as dotted module names."""
    members = [Path(f) for f in FILES if Path(folder) in Path(f).parents and re.fullmatch(pattern, Path(f).stem)]
    return {str(path): ".".join([PACKAGE, *path.with_suffix("").parts]) for path in members}


def siblings(tree: ast.AST, file: str, folder: str, pattern: str) -> set[str]:
    """Imports of one file of a family by another: of the files in `folder` whose stem matches `pattern`."""
    family = family_of(folder, pattern)
    others = {module for member, module in family.items() if member != file}
    return imports_any(imported(tree, file), others) if file in family else set()


def data_writes(tree: ast.AST) -> Iterator[str]:
    """Lines that assign to `something.data` or into it."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            continue
        for target in targets:
            while isinstance(target, ast.Subscript):
                target = target.value
            if isinstance(target, ast.Attribute) and target.attr == "data":
                yield f"line {node.lineno}: {ast.unparse(target)}"


def code_from_data(tree: ast.AST, file: str) -> Iterator[str]:
    """What could run code that stands in a data file."""
    yield from sorted(imports_any(imported(tree, file), RUNS_CODE_IMPORTS))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in RUNS_CODE_CALLS or called.endswith(".extractall"):
            yield f"line {node.lineno}: {called}"
        for keyword in node.keywords:
            if keyword.arg in {"allow_pickle", "shell"} and ast.unparse(keyword.value) != "False":
                yield f"line {node.lineno}: {called}({keyword.arg}=...)"


def over_budget(text: str) -> Iterator[str]:
    lines = text.count("\n") + 1
    if lines > MAX_FILE_LINES:
        yield f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if length > MAX_FUNCTION_LINES:
                yield f"{node.name}: {length} lines"
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
            if len(methods) > MAX_PUBLIC_METHODS:
                yield f"{node.name}: {len(methods)} public methods"


@cache
def trees() -> list[tuple[str, ast.AST]]:
    return [(file, ast.parse(path.read_text(encoding="utf-8"), filename=file)) for file, path in FILES.items()]


def test_every_room_is_known():
    assert {room(file) for file in FILES} <= set(MAY_IMPORT)


def test_rooms_import_only_what_stands_below_them():
    planted = ast.parse("from .. import io\nfrom ..gui.layers import find\nfrom .samples import Sample")
    assert wrong_rooms(planted, "core/planted.py") == {f"{PACKAGE}.io", f"{PACKAGE}.gui.layers.find"}
    assert {file: wrong for file, tree in trees() if (wrong := wrong_rooms(tree, file))} == {}


def test_core_never_imports_the_window_a_cluster_or_a_file_format():
    assert imports_any(imported(ast.parse("def f():\n    from napari.layers import Image"), "core/x.py"), NOT_IN_CORE)
    found = {file: imports_any(imported(tree, file), NOT_IN_CORE) for file, tree in trees() if room(file) == "core"}
    assert found
    assert not any(found.values()), found


def test_only_gui_imports_a_window_toolkit():
    found = {file: imports_any(imported(tree, file), GUI_TOOLKITS) for file, tree in trees()}
    assert any(names for file, names in found.items() if room(file) == "gui")
    assert {file: names for file, names in found.items() if names and room(file) != "gui"} == {}


@pytest.mark.parametrize(("folder", "pattern"), [("core/methods", "(?!__).*"), ("gui", ".*_panel")])
def test_members_of_a_family_never_import_each_other(folder, pattern):
    members = list(family_of(folder, pattern))
    assert members, f"no file in {folder} matches {pattern}"
    assert {file: wrong for file, tree in trees() if (wrong := siblings(tree, file, folder, pattern))} == {}


@pytest.mark.parametrize("thing", SINGLE_HOMES)
def test_single_homes(thing):
    homes = {file for file, tree in trees() if imports_any(imported(tree, file), {thing})}
    assert homes <= SINGLE_HOMES[thing]


def test_the_window_is_imported_by_the_command_that_opens_it_alone():
    homes = {file for file, tree in trees() if imports_any(imported(tree, file), {f"{PACKAGE}.gui"})}
    assert {file for file in homes if room(file) != "gui"} == {"cli/main.py"}


def test_layers_are_written_in_one_file():
    assert len(list(data_writes(ast.parse("layer.data = x\nlayer.data[0][1] += 1\nlayer.metadata = {}")))) == 2
    found = {file: list(data_writes(tree)) for file, tree in trees() if room(file) == "gui"}
    assert found.pop("gui/viewer/layers.py"), "the one home writes no layer: is this test looking at the right place?"
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_label_codes_are_written_in_one_file():
    def assigns(tree: ast.AST) -> bool:
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return bool(names & LABEL_CODES)

    assert [file for file, tree in trees() if assigns(tree)] == ["core/samples.py"]


@pytest.mark.parametrize("file", FILES)
def test_budgets(file):
    assert list(over_budget(FILES[file].read_text(encoding="utf-8"))) == []


def test_budgets_are_measured():
    body = "    x = 1\n" * (MAX_FUNCTION_LINES + 1)
    methods = "".join(f"    def m{i}(self): pass\n" for i in range(MAX_PUBLIC_METHODS + 1))
    assert list(over_budget(f"def f():\n    '''Text.'''\n{body}")) == ["f: 41 lines"]
    assert list(over_budget(f"class C:\n{methods}")) == ["C: 16 public methods"]
    assert list(over_budget("\n" * MAX_FILE_LINES)) == ["301 lines"]


def test_no_code_from_data():
    planted = "import pickle\neval(x)\ntorch.load(f)\nnp.load(f, allow_pickle=True)\nz.extractall()"
    assert len(list(code_from_data(ast.parse(planted), "x.py"))) == 5
    assert list(code_from_data(ast.parse("np.load(f, allow_pickle=False)"), "x.py")) == []
    benchmarks = {str(p.relative_to(ROOT)): p for p in (ROOT / "benchmarks").rglob("*.py")}
    every = {**FILES, **benchmarks}
    found = {file: list(code_from_data(ast.parse(path.read_text("utf-8")), file)) for file, path in every.items()}
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_nothing_listens_and_nothing_is_fetched():
    assert imports_any(imported(ast.parse("from urllib.request import urlopen"), "io.py"), NETWORK)
    found = {file: imports_any(imported(tree, file), NETWORK) for file, tree in trees()}
    assert {file: names for file, names in found.items() if names} == {}
    assert [file for file, path in FILES.items() if "0.0.0.0" in path.read_text("utf-8")] == []


def test_no_path_of_one_machine():
    pattern = re.compile(r"(?<![\w.~}*])/(?:home|root|work|Users|mnt|opt)/\w|[A-Z]:\\Users")
    assert pattern.search("open('/" + "home/me/x.tif')")
    kept = {".py", ".md", ".cfg", ".toml", ".ini", ".txt", ".yml", ".yaml", ".sh", ".cff", ""}
    folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks", "scripts", ".ci")]
    paths = [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    texts = [p for p in paths if p.is_file() and p.suffix in kept and not {"__pycache__", ".git"} & set(p.parts)]
    assert len(texts) > 50
    assert [str(p.relative_to(ROOT)) for p in texts if pattern.search(p.read_text("utf-8"))] == []


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def test_the_headless_half_needs_no_window_toolkit():
    assert importlib.util.find_spec("napari"), "napari must be installed here, else this test shows nothing"
    headless = [file for file in FILES if room(file) not in {"gui", "__main__"}]
    names = [".".join([PACKAGE, *Path(file).with_suffix("").parts]).removesuffix(".__init__") for file in headless]
    modules = modules_after(f"import {', '.join(names)}")
    assert {"torch", PACKAGE} <= modules
    assert modules & {*GUI_TOOLKITS, "distributed"} == set()


def test_importing_the_package_is_light():
    modules = modules_after(f"import {PACKAGE}")
    assert PACKAGE in modules
    assert modules & {"torch", "numpy", "monai", *GUI_TOOLKITS} == set()


def test_monai_waits_until_a_network_of_its_is_built():
    modules = modules_after(f"import {PACKAGE}.core.methods")
    assert "torch" in modules
    assert "monai" not in modules
