r"""Set up this checkout where nothing but Python and pip is there, and run something in it.

    python3 infra/bootstrap.py tidegate demo      # any command of tidegate
    python3 infra/bootstrap.py test               # ruff, mypy and pytest; more words go to pytest
    python3 infra/bootstrap.py env                # install only

The first time, or when a lock below changes, everything is installed into .venv: what the locks
pin, each file checked by its hash. After that a start costs a tenth of a second and asks no
registry. A run that was killed while it installed is made good by the next one.

Standard library only. The locks are written by uv, after a change in pyproject.toml or of a version
below:

    uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url -o requirements.lock
    printf 'pip\nsetuptools\nwheel\n' | uv pip compile - --universal --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url -o infra/bootstrap.lock
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OLDEST, NEWEST = (3, 11), (3, 13)
"""The Pythons that the lock serves."""
_FIRST = Path("infra") / "bootstrap.lock"  # pip, and what builds packages that are no wheels
_REST = Path("requirements.lock")
_STEPS = (
    ("ruff check", ("ruff", "check", ".")),
    ("ruff format", ("ruff", "format", "--check", ".")),
    ("mypy", ("mypy",)),
    ("import-linter", ("lint-imports",)),
    # Two at a time, a file each: a Spark server takes about one core, and 2 GiB.
    # In the order of folders: those of the whole stack come before unit tests, so that no worker is left
    # alone with one of them at the end.
    ("pytest", ("pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")),
)


class BootstrapError(Exception):
    """Something that the reader can mend."""


def say(line: str) -> None:
    """Tell how it goes; standard output belongs to the command."""
    sys.stderr.write(f"bootstrap: {line}\n")
    sys.stderr.flush()


def stamp(root: Path) -> str:
    """Return what an environment of this checkout must have been made from.

    Its locks and its Python.
    """
    made_from = hashlib.sha256()
    for name in (_FIRST, _REST, Path("pyproject.toml")):
        made_from.update((root / name).read_bytes())
    where = (platform.python_implementation(), platform.python_version(), sys.platform)
    # The folder too: an environment that was copied along with its checkout runs the other one.
    made_from.update(repr((where, platform.machine(), str(root))).encode())
    return made_from.hexdigest()


def is_ready(venv: Path, wanted: str) -> bool:
    """Say whether an environment was installed to its end from what is wanted now."""
    try:
        return (venv / "stamp").read_text() == wanted and (venv / "bin" / "python").exists()
    except OSError:
        return False


def ensure(root: Path = ROOT, venv: Path = VENV) -> None:
    """Install the environment, if it is not there or not of these locks.

    Raises:
        BootstrapError: it could not be installed.
    """
    wanted = stamp(root)
    if is_ready(venv, wanted):
        return
    with alone(root) as lock:
        if is_ready(venv, wanted):
            return  # another run has installed it meanwhile
        if venv.exists():
            # Half-installed packages look installed to pip, so nothing of them is kept.
            say("the environment is incomplete, or its locks have changed: it is made anew")
            shutil.rmtree(venv)
        install(root, venv, lock)
        (venv / "stamp.tmp").write_text(wanted)
        (venv / "stamp.tmp").replace(venv / "stamp")  # last: what a kill leaves has no stamp


@contextlib.contextmanager
def alone(root: Path) -> Iterator[int]:
    """Hold a lock; yield its descriptor, so that it is held by what this process starts too."""
    (root / ".tidegate").mkdir(exist_ok=True)
    with (root / ".tidegate" / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def install(root: Path, venv: Path, lock: int) -> None:
    """Make the environment and install everything into it.

    Should this process be killed, pip goes on alone: the lock that it inherits keeps the next run
    from removing what it is writing.
    """
    run = functools.partial(run_step, lock=lock)
    begun = time.monotonic()
    say(f"installing into {venv} (once; 2.4 GB of disk, some minutes)")
    python = venv / "bin" / "python"
    hashed = ("--require-hashes", "--no-deps", "--no-compile")
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], "making the environment")
    first = ["install", *hashed, "-r", str(root / _FIRST)]
    try:
        outer = [sys.executable, "-m", "pip", "--python", str(python)]
        run([*outer, *first], "installing pip")
    except BootstrapError:  # an older pip, or none but the one inside Python
        run([str(python), "-m", "ensurepip"], "installing pip")
        run([str(python), "-m", "pip", *first], "installing pip")
    rest = ["install", *hashed, "--no-build-isolation", "-r", str(root / _REST)]
    total = sum("==" in line for line in (root / _REST).read_text().splitlines())
    run([str(python), "-m", "pip", *rest], f"installing {total} packages", total)
    ours = ["install", "--no-deps", "--no-build-isolation", "--no-compile", "-e", str(root)]
    run([str(python), "-m", "pip", *ours], "installing tidegate")
    say("compiling")
    # Without it, everything is compiled again by each process where Python is told to write no
    # bytecode, and starts two or three times as slowly. Some packages hold files that are no
    # Python of today, so its exit status means nothing.
    tests = r"/(tests?|example_dags)/"
    quiet = ("-q", "-j", "0", "-x", tests)
    subprocess.run(
        [str(python), "-m", "compileall", *quiet, str(venv / "lib")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    say(f"installed in {time.monotonic() - begun:.0f} s")


def run_step(command: list[str], what: str, total: int = 0, *, lock: int) -> None:
    """Run a step, telling how many of `total` packages it has collected.

    Raises:
        BootstrapError: it failed; with its last words.
    """
    say(what)
    tail: collections.deque[str] = collections.deque(maxlen=25)
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_REQUIRE_VIRTUALENV"):
        env.pop(name, None)
    process = subprocess.Popen(
        command,
        env=env,
        pass_fds=(lock,),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    collected = 0
    assert process.stdout is not None
    for line in process.stdout:
        tail.append(line.rstrip())
        if line.startswith("Collecting "):
            collected += 1
            if total and collected % 20 == 0:
                say(f"  {collected} of {total}: {line.split()[1]}")
        elif total and line.startswith(("Building wheel", "Installing collected")):
            say(f"  {line.split(':')[0].strip().lower()}")
    if process.wait() != 0:
        words = "\n".join(f"    {line}" for line in tail)
        raise BootstrapError(
            f"{what} failed with exit status {process.returncode}\n"
            f"  command:   {' '.join(command)}\n"
            f"  its last words:\n{words}\n"
            "  next:      see that a package registry is reached (pip's own settings and "
            "variables hold: PIP_INDEX_URL,\n"
            "             PIP_CERT, HTTPS_PROXY) and that the disk has 3 GB free; then run the "
            "same again"
        )


def fitting_python() -> str | None:
    """Return a Python on this machine that the lock serves, or None."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        # A shim of a version manager may be there for a version that is not.
        if not found:
            continue
        asked = subprocess.run([found, "-c", ""], capture_output=True, check=False)
        if asked.returncode == 0:
            return found
    return None


def environment() -> dict[str, str]:
    """Return the environment for commands in .venv."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    for name in ("PYTHONHOME", "PYTHONDONTWRITEBYTECODE"):
        env.pop(name, None)
    return env


def check(words: list[str]) -> int:
    """Run every check, also after one has failed; return 1 if any did. `words` go to pytest."""
    failed = []
    env = environment()
    env.setdefault("TIDEGATE_JARS", str(ROOT / ".tidegate" / "jars"))
    for name, command in _STEPS:
        sys.stdout.write(f"\n===== {name} =====\n")
        sys.stdout.flush()
        more = words if name == "pytest" else []
        program = str(VENV / "bin" / command[0])
        if subprocess.run(
            [program, *command[1:], *more], cwd=ROOT, env=env, check=False
        ).returncode:
            failed.append(name)
    sys.stdout.write(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'all checks are well'}\n")
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    if not arguments or arguments[0] not in ("tidegate", "test", "env"):
        sys.stderr.write((__doc__ or "").split("\n\n")[1] + "\n")
        return 2
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        other = fitting_python()
        if other is None:
            raise BootstrapError(
                f"Python {platform.python_version()} does not serve\n"
                f"  expected:  Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}\n"
                "  next:      run it by one of those: python3.12 infra/bootstrap.py …"
            )
        os.execv(other, [other, str(Path(__file__).resolve()), *arguments])  # noqa: S606 (no shell)
    ensure()
    if arguments[0] == "test":
        return check(arguments[1:])
    if arguments[0] == "tidegate":
        program = str(VENV / "bin" / "tidegate")
        os.execve(program, [program, *arguments[1:]], environment())  # noqa: S606 (no shell)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BootstrapError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; run the same again to go on")
        sys.exit(130)
