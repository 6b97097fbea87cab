"""The README's set-up: what makes an environment count as whole, and who installs it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(root: Path) -> ModuleType:
    """Return bootstrap.py of a checkout as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", root / "infra" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with nothing but what the set-up reads."""
    (tmp_path / "infra").mkdir()
    for name in ("infra/bootstrap.py", "infra/bootstrap.lock", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def bootstrap(checkout: Path) -> ModuleType:
    return load(checkout)


def install_nothing(root: Path, venv: Path, lock: int) -> None:
    """Stand for the installation: make what the set-up looks for."""
    assert (root / ".tidegate").is_dir()
    assert lock >= 0
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()


def test_it_installs_once(
    bootstrap: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = checkout / ".venv"
    monkeypatch.setattr(bootstrap, "install", install_nothing)
    bootstrap.ensure(checkout, venv)
    monkeypatch.setattr(bootstrap, "install", lambda *_: pytest.fail("it installed again"))

    bootstrap.ensure(checkout, venv)

    assert bootstrap.is_ready(venv, bootstrap.stamp(checkout))


@pytest.mark.parametrize("name", ["requirements.lock", "infra/bootstrap.lock", "pyproject.toml"])
def test_a_changed_lock_makes_the_environment_anew(
    bootstrap: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    venv = checkout / ".venv"
    monkeypatch.setattr(bootstrap, "install", install_nothing)
    bootstrap.ensure(checkout, venv)
    (venv / "of the old lock").touch()
    with (checkout / name).open("a") as lock:
        lock.write("\n# changed\n")

    bootstrap.ensure(checkout, venv)

    assert not (venv / "of the old lock").exists()
    assert bootstrap.is_ready(venv, bootstrap.stamp(checkout))


def test_what_a_killed_run_left_is_made_anew(
    bootstrap: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = checkout / ".venv"

    def die(root: Path, venv: Path, lock: int) -> None:
        install_nothing(root, venv, lock)
        (venv / "half a package").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "install", die)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure(checkout, venv)
    assert (venv / "half a package").exists()
    assert not bootstrap.is_ready(venv, bootstrap.stamp(checkout))
    monkeypatch.setattr(bootstrap, "install", install_nothing)

    bootstrap.ensure(checkout, venv)

    assert not (venv / "half a package").exists()
    assert bootstrap.is_ready(venv, bootstrap.stamp(checkout))


def test_an_environment_that_was_copied_with_its_checkout_is_not_taken(
    bootstrap: ModuleType, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("copy") / "checkout"
    shutil.copytree(checkout, elsewhere)

    assert bootstrap.stamp(checkout) != bootstrap.stamp(elsewhere)


def test_a_step_that_fails_says_what_and_shows_its_last_words(bootstrap: ModuleType) -> None:
    command = [sys.executable, "-c", "print('no such package'); raise SystemExit(3)"]

    with pytest.raises(bootstrap.BootstrapError) as caught, Path("/dev/null").open() as lock:
        bootstrap.run_step(command, "installing pip", lock=lock.fileno())

    for told in ("installing pip failed", "exit status 3", "no such package", "next:"):
        assert told in str(caught.value)


def test_without_a_command_it_tells_how_it_is_used() -> None:
    asked = subprocess.run(
        [sys.executable, str(ROOT / "infra" / "bootstrap.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert asked.returncode == 2
    assert "tidegate demo" in asked.stderr


@pytest.mark.parametrize("name", ["requirements.lock", "infra/bootstrap.lock"])
def test_every_package_of_a_lock_is_pinned_and_hashed_and_no_host_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    packages = re.split(r"\n(?=\w)", text.strip())

    assert len(packages) > 1
    for package in packages:
        assert re.match(r"[\w.\[\]-]+==[\w.]+", package), package
        assert "--hash=sha256:" in package, package
    assert "://" not in text


def test_the_command_that_ci_runs_is_the_one_for_tests() -> None:
    assert "infra/bootstrap.py test" in (ROOT / ".ci" / "run").read_text()
