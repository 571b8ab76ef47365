"""The measures of the code's design: ``python -m tests.benchmarks.measures``, in a clone.

Printed are the lines of the package, its files of more than 200 lines, the modules that lie in an
import cycle, and the seconds that ``import vision`` and ``ssdlite --help`` take at best.
"""

import ast
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "vision"
LONG = 200
ROUNDS = 5


def main() -> None:
    """Measure and print."""
    lengths = {
        path.relative_to(PACKAGE.parent).as_posix(): len(path.read_bytes().splitlines())
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    too_long = [name for name, length in lengths.items() if length > LONG]
    cycles = modules_in_cycles()
    print(f"lines of vision/: {sum(lengths.values()):,}, in {len(lengths)} files")
    print(f"files of more than {LONG} lines: {', '.join([str(len(too_long)), *too_long])}")
    print(f"modules in import cycles: {', '.join([str(len(cycles)), *cycles])}")
    print(f"import vision: {fastest('import vision'):.2f} s")
    help_of = "from vision.cli.main import main; main(['--help'])"
    print(f"ssdlite --help: {fastest(help_of):.2f} s")


def modules_in_cycles() -> list[str]:
    """The modules from which imports lead back to themselves."""
    files = {".".join(_parts(path)): path for path in PACKAGE.rglob("*.py")}
    imported = {name: _imports(path) & files.keys() for name, path in files.items()}
    return sorted(name for name in files if name in _reachable(imported, name))


def _parts(path: Path) -> list[str]:
    """The parts of a module's name."""
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imports(path: Path) -> set[str]:
    """The names of what a module imports; of ``from a import b`` those are a and a.b."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _reachable(imported: Mapping[str, set[str]], start: str) -> set[str]:
    """The modules that a module imports, those that they import, and so on."""
    found, waiting = set[str](), {start}
    while waiting:
        new = imported[waiting.pop()] - found
        found |= new
        waiting |= new
    return found


def fastest(code: str) -> float:
    """Seconds of a process that runs ``code``, less those of one that runs nothing."""
    times = {"pass": list[float](), code: list[float]()}
    for _ in range(ROUNDS):
        for words, taken in times.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", words], stdout=subprocess.DEVNULL, check=True)  # noqa: S603
            taken.append(time.perf_counter() - began)
    return min(times[code]) - min(times["pass"])


if __name__ == "__main__":
    main()
