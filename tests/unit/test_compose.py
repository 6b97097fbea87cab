"""The container runs the same thing as the command, from files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_compose_file_runs_the_demo_from_the_image_of_this_checkout() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert list(services) == ["tidegate"]
    service = services["tidegate"]
    assert service["command"] == ["tidegate", "demo"]
    assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert source == "state" or (ROOT / source).is_dir()


def test_the_container_publishes_no_port_beyond_loopback() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["tidegate"]

    assert "ports" not in service
    assert service["network_mode"] == "host"


def test_what_the_image_copies_exists_and_its_packages_are_hashed() -> None:
    text = (ROOT / "infra" / "image" / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]

    assert copied
    for sources in copied:
        for source in sources:
            assert (ROOT / source).exists(), source
    for command in re.findall(r"pip install [^&\n]*-r [^&\n]*", text):
        assert "--require-hashes" in command
