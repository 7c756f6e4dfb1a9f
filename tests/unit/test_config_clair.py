"""``[clair]``: its address, its key, what it is handed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from imagecatalog.config import ClairSetting, load_settings
from imagecatalog.errors import ConfigError

KEY = b"a key of some length"
TEXT = base64.b64encode(KEY).decode()


def _load(tmp_path: Path, text: str) -> ClairSetting:
    path = tmp_path / "config.toml"
    path.write_text(f'database = "x"\n[clair]\n{text}\n')
    setting = load_settings({"config": path}, {}).clair
    assert setting is not None
    return setting


def test_what_is_left_out(tmp_path: Path) -> None:
    setting = _load(tmp_path, 'url = "http://clair.example.org:6060"')
    assert setting == ClairSetting(
        url="http://clair.example.org:6060", psk=None, issuer="imagecatalog", ca=None,
        images="running", at_once=2, keep_days=7,
    )  # fmt: skip
    assert setting.read_key() is None


@pytest.mark.parametrize("form", ["file:{}/clair.key", "file://{}/clair.key", "file:clair.key"])
def test_the_key_in_a_file(tmp_path: Path, form: str) -> None:
    (tmp_path / "clair.key").write_text(f"{TEXT}\n")
    setting = _load(tmp_path, f'url = "https://clair"\npsk = "{form.format(tmp_path)}"')
    assert setting.read_key() == KEY


def test_the_key_itself(tmp_path: Path) -> None:
    assert _load(tmp_path, f'url = "https://clair"\npsk = "{TEXT}"').read_key() == KEY


@pytest.mark.parametrize("psk", ["hush hush!", "aHVzaA", "", "aHVzaA==hush"])
def test_what_is_no_key_is_not_shown(tmp_path: Path, psk: str) -> None:
    setting = _load(tmp_path, f'url = "https://clair"\npsk = "{psk}"')
    with pytest.raises(ConfigError, match=r"clair\.psk holds no key") as raised:
        setting.read_key()
    assert "hush" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    setting = _load(tmp_path, 'url = "https://clair"\npsk = "file:none"')
    with pytest.raises(ConfigError, match="none cannot be read: No such file"):
        setting.read_key()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('url = "clair.example.org"', r"clair\.url"),
        ('url = "ftp://clair"', r"clair\.url"),
        ('url = "https://"', r"clair\.url"),
        ('url = "http://["', r"clair\.url"),
        ('url = "http://me:hush@clair"', r"clair\.url"),
        ('url = "https://clair"\nimages = "some"', r"clair\.images"),
        ('url = "https://clair"\nat_once = 0', r"clair\.at_once"),
        ('url = "https://clair"\nat_once = 17', r"clair\.at_once"),
        ('url = "https://clair"\nkeep_days = -1', r"clair\.keep_days"),
        ('psk = "x"', "clair: lacks the key url"),
    ],
)
def test_wrong_settings_name_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        _load(tmp_path, text)
    assert "hush" not in str(raised.value)
