import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_path_to_the_program_is_enough(tmp_path: Path) -> None:
    """Run by path from anywhere, the packages are found and the workers' verb works."""
    run = subprocess.run(
        [sys.executable, "-P", str(ROOT / "server" / "__main__.py"), "worker", "broadcast"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "roomtone serve" in run.stderr
    assert run.returncode == 1


def test_importing_the_program_imports_nothing_else() -> None:
    """What a process will need is decided by its verb."""
    program = "import sys, server.__main__ as _; print([m for m in sys.modules if 'server.' in m])"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "['server.__main__']"
