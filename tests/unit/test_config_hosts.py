"""Hosts of containers in the settings: beside clusters, with names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagecatalog.config import CLUSTERS_VARIABLE, ClusterSetting, HostSetting, load_settings
from imagecatalog.errors import ConfigError

CLUSTER = '[[cluster]]\nname = "north"\nkubeconfig = "north.config"\n'


def written(folder: Path, text: str) -> dict[str, object]:
    """The flag that names a file with this text."""
    file = folder / "config.toml"
    file.write_text(text)
    return {"config": file, "database": "x.sqlite"}


def test_hosts_stand_beside_clusters_and_their_files_beside_the_configuration(
    tmp_path: Path,
) -> None:
    text = CLUSTER + (
        '[[host]]\nname = "build-1"\nsocket = "unix:///run/docker.sock"\n'
        '[[host]]\nname = "build-2"\nsocket = "tcp://build-2.example.org:2376"\n'
        'ca = "ca.pem"\ncertificate = "us.pem"\nkey = "/etc/us.key"\n'
    )
    settings = load_settings(written(tmp_path, text), {})
    assert settings.clusters == (ClusterSetting("north", str(tmp_path / "north.config")),)
    assert settings.hosts == (
        HostSetting("build-1", "unix:///run/docker.sock"),
        HostSetting(
            "build-2",
            "tcp://build-2.example.org:2376",
            str(tmp_path / "ca.pem"),
            str(tmp_path / "us.pem"),
            "/etc/us.key",
        ),
    )


def test_the_variable_names_hosts_too_and_replaces_all_of_the_file(tmp_path: Path) -> None:
    flags = written(tmp_path, CLUSTER + '[[host]]\nname = "a"\nsocket = "https://a:1"\n')
    variable = "south:/s.config, here:unix:///run/podman/podman.sock"
    settings = load_settings(flags, {CLUSTERS_VARIABLE: variable})
    assert settings.clusters == (ClusterSetting("south", "/s.config"),)
    assert settings.hosts == (HostSetting("here", "unix:///run/podman/podman.sock"),)


@pytest.mark.parametrize(
    "host",
    [
        'name = "north"\nsocket = "unix:///run/docker.sock"',
        'name = "a b"\nsocket = "unix:///run/docker.sock"',
        'name = "a"\nsocket = "unix://run/docker.sock"',
        'name = "a"\nsocket = "/run/docker.sock"',
        'name = "a"\nsocket = "ssh://host"',
        'name = "a"\nsocket = "tcp://user@host:2375"',
        'name = "a"\nsocket = "tcp://host:2375/path"',
        'name = "a"\nsocket = "tcp://["',
        'name = "a"\nsocket = "unix:///run/docker.sock"\nca = "ca.pem"',
        'name = "a"\nsocket = "tcp://host"\nkey = "key.pem"',
        'name = "a"\nsocket = "tcp://host"\ncert = "key.pem"',
    ],
)
def test_what_is_no_host_is_told_with_its_place(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="host"):
        load_settings(written(tmp_path, f"{CLUSTER}[[host]]\n{host}\n"), {})
