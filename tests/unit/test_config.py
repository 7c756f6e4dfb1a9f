"""Settings: which of flag, variable and file wins, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagecatalog import config
from imagecatalog.config import ClusterSetting, Settings, load_settings, loading
from imagecatalog.errors import ConfigError, hide_secrets

WHOLE = """
database = "catalog.sqlite"

[[registry]]
url = "https://registry.example.org"
ca = "/etc/ssl/certs/ca.pem"
repositories = ["mediawiki/*"]
exclude_tags = ["^[0-9a-f]{40}$"]
username = "reader"
password_file = "password"

[[cluster]]
name = "eqiad"
kubeconfig = "/etc/kubernetes/eqiad.config"

[apt]
keyrings = ["keys/own.asc"]

[apt.mirrors]
"https://apt.example.org/debian" = "file:///srv/mirror/debian"

[apt.sources]
"debian 12" = ["deb https://apt.example.org/debian bookworm main"]

[feeds]
debian-tracker = "file:///srv/mirror/tracker.json"
osv = false

[clair]
url = "http://clair.example.org:6060"
psk = "file:///etc/imagecatalog/clair.key"
"""


@pytest.fixture(autouse=True)
def _no_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "DEFAULT_FILE", tmp_path / "absent" / "config.toml")


def write(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return {"config": str(path)}


def test_the_whole_file_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, WHOLE), {})

    assert settings.database == str(tmp_path / "catalog.sqlite")
    assert settings.clusters == (ClusterSetting("eqiad", "/etc/kubernetes/eqiad.config"),)
    (registry,) = settings.registries
    assert registry.url == "https://registry.example.org"
    assert registry.repositories == ("mediawiki/*",)
    assert registry.password_file == str(tmp_path / "password")
    assert settings.apt_mirrors == {"https://apt.example.org/debian": "file:///srv/mirror/debian"}
    assert settings.apt_sources["debian 12"] == (
        "deb https://apt.example.org/debian bookworm main",
    )
    assert settings.apt_keyrings == (str(tmp_path / "keys/own.asc"),)
    assert settings.feeds == {"debian-tracker": "file:///srv/mirror/tracker.json", "osv": False}
    assert settings.clair is not None
    assert settings.clair.psk == "file:///etc/imagecatalog/clair.key"


def test_flags_beat_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    flags = write(tmp_path, WHOLE)
    environ = {
        "IMAGE_CATALOG_DB": "/from/environment.sqlite",
        "IMAGE_CATALOG_KUBERNETES_CLUSTERS": "codfw:/e.config",
    }

    by_environment = load_settings(flags, environ)
    by_flag = load_settings(
        {**flags, "database": "/from/flag.sqlite", "clusters": "staging:/f.config"}, environ
    )

    assert by_environment.database == "/from/environment.sqlite"
    assert [c.name for c in by_environment.clusters] == ["codfw"]
    assert by_flag.database == "/from/flag.sqlite"
    assert [c.name for c in by_flag.clusters] == ["staging"]


def test_the_file_is_found_by_flag_then_variable_then_default_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {}
    for name in ("flag", "variable", "default"):
        paths[name] = tmp_path / f"{name}.toml"
        paths[name].write_text(f'database = "/{name}.sqlite"')
    monkeypatch.setattr(loading, "DEFAULT_FILE", paths["default"])
    environ = {"IMAGE_CATALOG_CONFIG": str(paths["variable"])}

    assert load_settings({"config": str(paths["flag"])}, environ).database == "/flag.sqlite"
    assert load_settings({}, environ).database == "/variable.sqlite"
    assert load_settings({}, {"IMAGE_CATALOG_CONFIG": ""}).database == "/default.sqlite"


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n", " , "])
def test_cluster_pairs_by_commas_or_spaces(separator: str) -> None:
    text = separator.join(["a:/a.config", "b:/with:colon.config"])

    settings = load_settings({"clusters": text}, {"IMAGE_CATALOG_DB": "x"})

    assert settings.clusters == (
        ClusterSetting("a", "/a.config"),
        ClusterSetting("b", "/with:colon.config"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eqiad", "not a pair"),
        ("eqiad:", "not a pair"),
        (":/path", "cannot name a cluster"),
        ("a/b:/path", "cannot name a cluster"),
        ("a:/1,a:/2", "two clusters are named 'a'"),
    ],
)
def test_wrong_cluster_pairs_name_the_variable(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="IMAGE_CATALOG_KUBERNETES_CLUSTERS") as caught:
        load_settings({}, {"IMAGE_CATALOG_KUBERNETES_CLUSTERS": text}, need_database=False)

    assert said in str(caught.value)


def test_no_database_names_flag_variable_and_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {})

    assert caught.value.hint is not None
    for way in ("--database", "IMAGE_CATALOG_DB", "config.toml"):
        assert way in caught.value.hint
    assert load_settings({}, {}, need_database=False).database == ""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("catalog.sqlite", "catalog.sqlite"),
        ("sqlite:////var/lib/catalog.sqlite", "sqlite:////var/lib/catalog.sqlite"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("postgres://u@h/db", "postgresql://u@h/db"),
    ],
)
def test_forms_of_a_database(text: str, meant: str) -> None:
    assert load_settings({"database": text}, {}).database == meant


@pytest.mark.parametrize(
    "text", ["mysql://u:hush@h/db", "sqlite://", "sqlite:///", "postgresql://"]
)
def test_other_databases_are_refused_without_showing_their_password(text: str) -> None:
    with pytest.raises(ConfigError, match="--database") as caught:
        load_settings({"database": text}, {})

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ('databse = "x"', "unknown key databse", "did you mean database?"),
        ("[registry]\nurl = 'x'", "registry: expected array, got object", None),
        ("[[registry]]\nurl = 3", "registry[0].url: expected str, got int", None),
        ('[[registry]]\nca = "x"', "registry[0]: lacks the key url", None),
        (
            '[[registry]]\nurl = "https://r"\nexclude_tag = []',
            "unknown key registry[0].exclude_tag",
            "did you mean exclude_tags?",
        ),
        (
            '[[registry]]\nurl = "https://r"\nexclude_tags = ["("]',
            "registry[0].exclude_tags[0]: '(' is no regular expression",
            None,
        ),
        (
            '[[registry]]\nurl = "https://u:p@r"',
            "credentials do not belong into the address",
            "docker login",
        ),
        ('[[registry]]\nurl = "registry"', "not the address of a registry", "https://"),
        ('[[registry]]\nurl = "https://r:x"', "is not a URL", None),
        ('[[registry]]\nurl = "https://r"\nusername = "u"', "password_file", None),
        ('[apt.mirrors]\n"a" = "b"\n"c" = 3', 'apt.mirrors."c": expected str, got int', None),
        ('[apt.sources]\n"debian 12" = "x"', 'apt.sources."debian 12": expected array', None),
        ('[apt.sources]\n"debian 12" = ["x", 3]', 'apt.sources."debian 12"[1]: expected', None),
        ("[feeds]\nosv = 3", 'feeds."osv": expected', None),
        ("[feeds]\nosvv = false", "unknown key feeds.osvv", "did you mean osv?"),
        ("[feed_days]\nosvv = 1", "unknown key feed_days.osvv", "did you mean osv?"),
        ("[feed_days]\nosv = -1", "feed_days.osv: -1 is no number of days", "above 0"),
        ("[feed_days]\nosv = nan", "feed_days.osv: nan is no number of days", "above 0"),
        ('[feed_days]\nosv = "a week"', 'feed_days."osv": expected float', None),
        ('[clair]\nurl = "x"\npks = "y"', "unknown key clair.pks", "did you mean psk?"),
        ("database = [", "is not TOML", None),
        ('a = "\\ud800"', "is not TOML", None),
        ("a = " + "[" * 5000, "is not TOML", None),
    ],
)
def test_a_wrong_file_names_itself_and_the_key(
    tmp_path: Path, body: str, said: str, hint: str | None
) -> None:
    flags = write(tmp_path, body)

    with pytest.raises(ConfigError) as caught:
        load_settings(flags, {})

    assert str(caught.value).startswith(str(flags["config"]))
    assert said in str(caught.value)
    assert hint is None or hint in str(caught.value.hint)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large, latin = tmp_path / "large.toml", tmp_path / "latin.toml"
    large.write_bytes(b"#" * (config.MAX_FILE + 1))
    latin.write_bytes(b'database = "\xe9"')

    for path, said in [
        (tmp_path / "absent.toml", "No such file"),
        (tmp_path, "directory"),
        (large, "larger than"),
        (latin, "not UTF-8"),
    ]:
        with pytest.raises(ConfigError, match=said):
            load_settings({}, {"IMAGE_CATALOG_CONFIG": str(path)})


def test_printing_settings_shows_no_secret(tmp_path: Path) -> None:
    flags = write(
        tmp_path,
        'database = "postgresql://u:hush@h/db?sslpassword=hush"\n'
        '[clair]\nurl = "http://clair"\npsk = "hush"\n'
        '[apt.mirrors]\n"https://apt.example.org" = "https://u:hush@mirror.example.org"',
    )

    settings = load_settings(flags, {})

    assert "hush" in settings.database
    for text in (str(settings), repr(settings), f"{settings}", f"{settings.clair}"):
        assert "hush" not in text
        assert text.startswith(("Settings(", "ClairSetting("))


@pytest.mark.parametrize(
    "text", ["postgresql://u:p/a@ss@h/db", "https://u:p%40ss@h", "x?access_token=p@ss&y=1"]
)
def test_hidden_secrets(text: str) -> None:
    assert "ss" not in hide_secrets(text).replace("access_", "")
    assert (
        hide_secrets("https://registry.example.org:5000/a") == "https://registry.example.org:5000/a"
    )


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings(database="x").database = "y"  # type: ignore[misc]


def test_home_and_the_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    settings = load_settings({"database": "~/x.sqlite", "clusters": "a:~/c,b:in-cluster"}, {})

    assert settings.database == "/home/somebody/x.sqlite"
    assert [c.kubeconfig for c in settings.clusters] == ["/home/somebody/c", "in-cluster"]
