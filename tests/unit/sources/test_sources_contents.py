"""From layers to packages, distribution and apt set-up, and each reason why not."""

import gzip
import io
import sys
import tarfile
from contextlib import contextmanager

import pytest

from imagecatalog.domain.apt import Keyring
from imagecatalog.domain.contents import LayerReading
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import DigestMismatch, Missing, Truncated
from imagecatalog.formats.layer import READER_VERSION
from imagecatalog.sources.contents import read_contents
from imagecatalog.sources.rootfs import list_architectures

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = Descriptor("application/vnd.oci.image.config.v1+json", Digest.of(b"{}"), 2)


def paragraph(name, version="1", status="install ok installed", arch="amd64"):
    state = f"Status: {status}\n" if status else ""
    return f"Package: {name}\n{state}Architecture: {arch}\nVersion: {version}\n\n"


OS_RELEASE = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n"
SOURCES = (
    "Types: deb\nURIs: https://apt.example.org/debian\nSuites: bookworm\nComponents: main\n"
    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
)
BASE = {
    "etc/os-release": ("link", "../usr/lib/os-release"),
    "usr/lib/os-release": OS_RELEASE,
    "lib": ("link", "usr/lib"),
    "var/lib/dpkg/status": paragraph("bash")
    + paragraph("dpkg")
    + paragraph("held", "2", "hold ok installed"),
    "etc/apt/sources.list.d/debian.sources": SOURCES,
    "usr/share/keyrings/debian-archive-keyring.gpg": "KEY",
    "usr/share/keyrings/other.gpg": "OTHER",
    "etc/apt/trusted.gpg.d/debian.asc": "TRUSTED",
}
STATUS = "var/lib/dpkg/status"
CODENAME = Distro("debian", "12", "bookworm")


def pack_plainly(data) -> bytes:
    return gzip.compress(data, mtime=0)


def make_layer(files, pack=pack_plainly) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type = tarfile.SYMTYPE if content[0] == "link" else tarfile.LNKTYPE
                info.linkname = content[1]
            else:
                info.size = len(content.encode())
            archive.addfile(info, io.BytesIO((content or "").encode()) if info.size else None)
    return pack(body.getvalue())


class Checked(io.BytesIO):
    """A blob that is checked at its end, as those of sources are."""

    def __init__(self, data, blob):
        super().__init__(data)
        self.blob = blob

    def read(self, size=-1):
        if data := super().read(size):
            return data
        if len(self.getvalue()) < self.blob.size:
            raise Truncated("blob", "ends early")
        if Digest.of(self.getvalue()) != self.blob.digest:
            raise DigestMismatch("blob", "is another")
        return b""


class Registry:
    """The blobs of one repository, and which were asked for."""

    def __init__(self):
        self.blobs, self.asked, self.store = {}, [], {}

    @contextmanager
    def blob(self, repository, blob):
        self.asked.append(blob.digest)
        if blob.digest not in self.blobs:
            raise Missing(f"no {blob.digest}")
        yield Checked(self.blobs[blob.digest], blob)

    def add(self, layer, media_type=GZIP):
        data = layer if isinstance(layer, bytes) else make_layer(layer)
        self.blobs[Digest.of(data)] = data
        return Descriptor(media_type, Digest.of(data), len(data))

    def read(self, *layers, platform="linux/amd64"):
        """The contents of the image that these layers make; readings are stored."""
        descriptors = tuple(
            layer if isinstance(layer, Descriptor) else self.add(layer) for layer in layers
        )
        manifest = ImageManifest("application/vnd.oci.image.manifest.v1+json", CONFIG, descriptors)
        config = ImageConfig(None, Platform.parse(platform))
        contents, fresh = read_contents(self, "r.example/a", manifest, config, known=self.store.get)
        self.store |= {reading.digest: reading for reading in fresh}
        return contents


@pytest.fixture
def registry():
    return Registry()


def names(contents):
    return [package.name for package in contents.packages]


def test_a_debian_image(registry):
    contents = registry.read(BASE)
    assert contents.unknown is None
    assert contents.distro == CODENAME
    assert names(contents) == ["bash", "dpkg", "held"]
    assert contents.held == ("held:amd64",)
    assert contents.apt is not None
    assert contents.apt.architectures == ("amd64",)
    assert [(source.uri, source.suite) for source in contents.apt.sources] == [
        ("https://apt.example.org/debian", "bookworm")
    ]
    assert contents.apt.keyrings == (
        Keyring("usr/share/keyrings/debian-archive-keyring.gpg", b"KEY"),
    )
    assert contents.apt.problems == ()


def test_each_layer_is_read_once_ever(registry):
    child = {STATUS: paragraph("bash", "2") + paragraph("dpkg")}
    registry.read(BASE)
    assert len(registry.asked) == 1
    contents = registry.read(BASE, child)
    assert len(registry.asked) == 2
    assert [package.version for package in contents.packages] == ["2", "1"]
    assert registry.read(BASE, child) == contents
    assert len(registry.asked) == 2
    for digest, reading in registry.store.items():
        registry.store[digest] = LayerReading(digest, READER_VERSION - 1, reading.entries)
    assert registry.read(BASE, child) == contents
    assert len(registry.asked) == 4


def test_one_layer_twice_is_read_once(registry):
    assert registry.read(BASE, BASE).distro == CODENAME
    assert len(registry.asked) == 1


def test_what_lies_below_an_opaque_root_is_not_read(registry):
    contents = registry.read({"srv/x": "x"}, {".wh..wh..opq": "", STATUS: paragraph("new")})
    assert names(contents) == ["new"]
    assert len(registry.asked) == 1


def test_the_empty_layer_is_not_read(registry):
    empty = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d663cb16422d00e8a7c22955b46d4"
    plain = registry.add(bytes(1024))
    contents = registry.read(BASE, Descriptor(GZIP, Digest(empty), 32), plain)
    assert names(contents) == ["bash", "dpkg", "held"]
    assert len(registry.asked) == 1


def test_layers_of_other_compressions_and_mislabelled_ones(registry):
    layers = [
        registry.add(make_layer(BASE, zstd.compress)),
        registry.add(make_layer({STATUS: paragraph("b")}, bytes)),
        registry.add(make_layer({"etc/debian_version": "12.8"}), GZIP.replace("gzip", "zstd")),
    ]
    assert names(registry.read(*layers)) == ["b"]


def test_distroless(registry):
    base = {
        "etc/os-release": ("link", "../usr/lib/os-release"),
        "usr/lib/os-release": 'PRETTY_NAME="Distroless"\nID="debian"\nVERSION_ID="12"\n',
        "var/lib/dpkg/status.d/base-files": paragraph("base-files", status=None),
        "var/lib/dpkg/status.d/base-files.md5sums": "d41d8cd98f00b204e9800998ecf8427e  x\n",
    }
    upper = {"var/lib/dpkg/status.d/libssl3": paragraph("libssl3", "3", None)}
    contents = registry.read(base, upper, platform="linux/arm64")
    assert names(contents) == ["base-files", "libssl3"]
    assert contents.distro == Distro("debian", "12", "bookworm", "Distroless")
    assert contents.apt is None
    assert contents.unknown is None


APK = "lib/apk/db/installed"


def test_packages_of_apk(registry):
    base = {"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", APK: "P:musl\nV:1-r0\nA:x86_64\n"}
    upper = {APK: base[APK] + "\nP:libssl3\nV:3-r1\nA:x86_64\no:openssl\n"}
    contents = registry.read(base, upper)
    assert contents.unknown is None
    assert contents.apt is None
    assert contents.packages == (
        Package("apk", "libssl3", "3-r1", "x86_64", "openssl", "3-r1"),
        Package("apk", "musl", "1-r0", "x86_64", "musl", "1-r0"),
    )
    linked = {"lib/apk": ("link", "../usr/lib/apk"), f"usr/{APK}": base[APK]}
    assert names(registry.read(linked)) == ["musl"]


def test_a_broken_database_of_others_spoils_no_debian_image(registry):
    contents = registry.read(BASE | {APK: "V:1\n\nP:a\nV:1\nA:x86_64\n"})
    assert contents.unknown is None
    assert next((one.type, one.name) for one in contents.packages) == ("apk", "a")
    assert contents.apt.architectures == ("amd64",)


SITE = "usr/lib/python3/dist-packages"
SIX = {f"{SITE}/six-1.16.dist-info/METADATA": "Name: six\nVersion: 1.16\n"}
LODASH = {"app/node_modules/lodash/package.json": '{"name": "lodash", "version": "4.17.21"}'}


def kinds(contents):
    return [(one.type, one.name, one.version) for one in contents.packages or ()]


def test_packages_of_languages_beside_those_of_debian(registry):
    contents = registry.read(BASE, SIX, LODASH)
    assert contents.unknown is None
    assert kinds(contents)[3:] == [("npm", "lodash", "4.17.21"), ("pypi", "six", "1.16")]
    assert contents.apt == registry.read(BASE).apt
    newer = {"app/node_modules/lodash/package.json": '{"name": "lodash", "version": "5.0.0"}'}
    assert ("npm", "lodash", "5.0.0") in kinds(registry.read(BASE, LODASH, newer))
    assert ("npm", "lodash", "4.17.21") not in kinds(registry.read(BASE, LODASH, newer))
    twice = {"srv/node_modules/lodash/package.json": '{"name": "lodash", "version": "3.0.0"}'}
    found = kinds(registry.read(BASE, LODASH, twice))
    assert [one[2] for one in found if one[1] == "lodash"] == ["3.0.0", "4.17.21"]


@pytest.mark.parametrize(
    "upper",
    [
        {f"{SITE}/six-1.16.dist-info/.wh.METADATA": ""},
        {f"{SITE}/.wh.six-1.16.dist-info": ""},
        {f"{SITE}/.wh..wh..opq": ""},
        {"usr/.wh.lib": ""},
        {SITE: ("link", "../elsewhere")},
        {f"{SITE}/six-1.16.dist-info": "a file"},
        {f"{SITE}/six-1.16.dist-info/METADATA": "rubbish"},
    ],
)
def test_packages_of_languages_that_upper_layers_take_away(registry, upper):
    assert ("pypi", "six", "1.16") in kinds(registry.read(BASE, SIX))
    contents = registry.read(BASE, SIX, upper)
    assert "six" not in names(contents)
    assert contents.unknown is None


def test_an_image_of_one_program_is_known(registry):
    contents = registry.read(LODASH)
    assert (kinds(contents), contents.unknown) == ([("npm", "lodash", "4.17.21")], None)
    broken = registry.read(LODASH, {"app/x.jar": "rubbish"})
    assert kinds(broken) == kinds(contents)
    assert broken.unknown == Unknown(
        "package-database-broken", "app/x.jar: x.jar: is no archive, or is cut short"
    )


def problems(contents):
    return [(one.path, one.code, one.reason) for one in contents.problems]


NOT_READ = "language-package-not-read"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"srv/a.jar": "x"}, ("srv/a.jar", NOT_READ, "a.jar: is no archive, or is cut short")),
        (
            {"app/node_modules/a/package.json": ("hard", "srv/a")},
            (
                "app/node_modules/a/package.json",
                NOT_READ,
                "is a hard link to 'srv/a', which is not read",
            ),
        ),
        (
            {f"{SITE}/a.dist-info/METADATA": "Name: a\n"},
            (f"{SITE}/a.dist-info/METADATA", NOT_READ, "'a' has no version"),
        ),
        *(
            ({path: "{}"}, (path, NOT_READ, reason))
            for path, reason in {
                "app/.pnp.cjs": "packages that Yarn keeps in archives are not looked into",
                "srv/vendor/composer/installed.json": "packages of Composer (PHP) are not read",
                "app/web.deps.json": "packages of .NET are not read",
                "srv/conda/conda-meta/history": "packages of Conda are not read",
            }.items()
        ),
        (
            {"var/lib/rpm/Packages": "x"},
            (
                "var/lib/rpm/Packages",
                "package-database-broken",
                "is no RPM database of a kind that is read",
            ),
        ),
        (
            {"var/lib/rpm/rpmdb.sqlite": "x", "var/lib/rpm/rpmdb.sqlite-wal": "x"},
            (
                "var/lib/rpm/rpmdb.sqlite",
                "package-database-not-read",
                "var/lib/rpm/rpmdb.sqlite-wal: has changes, and journals are not read",
            ),
        ),
    ],
)
def test_what_is_not_read_beside_debian_packages_is_told_and_makes_nothing_unknown(
    registry, files, problem
):
    contents = registry.read(BASE, SIX, files)
    assert contents.unknown is None
    assert ("pypi", "six", "1.16") in kinds(contents)
    assert problems(contents) == [problem]
    # The layers are known by now: what is kept of them says the same.
    assert registry.read(BASE, SIX, files) == contents
    assert problems(registry.read(BASE, files, {".wh.srv": "", ".wh.app": "", ".wh.var": ""})) == (
        [problem] if problem[0].startswith("usr/") else []
    )


def test_an_image_of_packages_that_nobody_reads_is_unknown(registry):
    contents = registry.read({"app/web.deps.json": "{}", "app/web": "x"})
    assert contents.unknown == Unknown(
        "package-database-broken", "app/web.deps.json: packages of .NET are not read"
    )
    brought = {
        "var/lib/dpkg/info/web.list": "/usr/lib/web.deps.json\n",
        "usr/lib/web.deps.json": "{}",
    }
    assert registry.read(BASE | brought).problems == ()


def test_of_many_problems_the_first_are_told(registry):
    many = {f"srv/{number:03}.jar": "x" for number in range(130)}
    told = problems(registry.read(BASE, many))
    assert len(told) == 101
    assert told[0][0] == "srv/000.jar"
    assert told[-1] == ("", NOT_READ, "30 more files could not be read")


LINKED = '{"name": "@s/linked", "version": "1.0.0"}'


@pytest.mark.parametrize(
    "store",
    [
        "root/.local/share/pnpm/store/v3/files/0a/" + "b" * 126,
        "app/.pnpm-store/store/v10/files/0a/bcdef",
        "root/.bun/install/cache/@s/linked@1.0.0@@@1/package.json",
    ],
)
def test_packages_that_are_hard_links_into_a_store(registry, store):
    link = "usr/src/app/node_modules/.pnpm/@s+linked@1.0.0/node_modules/@s/linked/package.json"
    files = {store: LINKED, link: ("hard", store)}
    contents = registry.read(BASE, files)
    assert ("npm", "@s/linked", "1.0.0") in kinds(contents)
    assert contents.problems == ()
    # What lies in the store alone is not installed.
    assert "@s/linked" not in names(registry.read(BASE, {store: LINKED}))
    assert "@s/linked" not in names(registry.read(BASE, files, {"usr/src/.wh.app": ""}))
    assert names(registry.read(BASE, {store: "[]"})) == names(registry.read(BASE))


def test_the_list_of_mariner_without_a_database(registry):
    listed = (
        "vim\t9.0-1.cm2\t1\t2\tMicrosoft Corporation\t(none)\t3\tx86_64\t2\tvim-9.0-1.cm2.src.rpm\n"
    )
    path = "var/lib/rpmmanifest/container-manifest-2"
    system = {"etc/os-release": "ID=mariner\nVERSION_ID=2.0\n"}
    contents = registry.read(system | {path: listed})
    assert (kinds(contents), contents.unknown) == ([("rpm", "vim", "2:9.0-1.cm2")], None)
    broken = registry.read(system | {path: listed + "rubbish\n"})
    assert broken.unknown.code == "package-database-broken"
    assert registry.read(system | {path: "\n"}).unknown.code == "no-package-database"


def test_a_distribution_without_its_packages_is_unknown(registry):
    contents = registry.read({"etc/os-release": OS_RELEASE}, SIX)
    assert kinds(contents) == [("pypi", "six", "1.16")]
    assert contents.unknown.code == "no-package-database"


def test_a_database_behind_a_linked_folder(registry):
    linked = {k: v for k, v in BASE.items() if k != STATUS} | {
        "var/lib/dpkg": ("link", "../../usr/lib/dpkg"),
        "usr/lib/dpkg/status": paragraph("moved"),
    }
    assert names(registry.read(linked)) == ["moved"]
    assert names(registry.read(linked, {STATUS: paragraph("newer")})) == ["newer"]


@pytest.mark.parametrize(
    ("layers", "code", "sentence"),
    [
        ([], "no-package-database", "no var/lib/dpkg/status"),
        ([{"hello": "x"}], "no-package-database", "the image has no package database"),
        ([BASE, {"var/lib/dpkg/.wh.status": ""}], "no-package-database", "no var/lib/dpkg/status"),
        ([BASE, {".wh.var": ""}], "no-package-database", "no package database"),
        ([BASE, {STATUS: ""}], "no-package-database", "names no installed package"),
        ([{"lib/apk/db/installed": "P:musl"}], "package-database-broken", "'musl' has no version"),
        (
            [{"lib": ("link", "usr/lib")}, {"lib/apk/db/installed": "P:musl"}],
            "package-database-broken",
            "'musl' has no version",
        ),
        ([{"lib/apk/db/installed": ""}], "no-package-database", "names no installed package"),
        ([{"var/lib/rpm/rpmdb.sqlite": "SQL"}], "package-database-broken", "no RPM database"),
        ([{"var/lib/rpm/Packages": "BDB"}], "package-database-broken", "no RPM database"),
        (
            [{"var/lib/rpm/rpmdb.sqlite": "SQL", "var/lib/rpm/rpmdb.sqlite-wal": "new"}],
            "package-database-not-read",
            "rpmdb.sqlite-wal: has changes",
        ),
        (
            [BASE, {"var/lib/dpkg": ("link", "/srv/dpkg")}],
            "package-database-not-read",
            "var/lib/dpkg/status: is a link to 'srv/dpkg/status'",
        ),
        (
            [{STATUS: ("link", "../../../../../etc/shadow")}],
            "package-database-not-read",
            "is a link to 'etc/shadow'",
        ),
        (
            [{STATUS: ("hard", "srv/status")}],
            "package-database-not-read",
            "is a hard link to 'srv/status'",
        ),
        ([{STATUS: paragraph("")}], "package-database-broken", "line 1 ('')"),
        ([{"etc": ("link", "etc")}, BASE], "too-deep", "symbolic links"),
        ([BASE, {"../../etc/x": "x"}], "bad-document", "leads out of the tree"),
        ([BASE, make_layer({"a": "x" * 5000})[:60]], "truncated", "layer sha256:"),
        ([BASE, b"garbage" * 200], "bad-document", "layer sha256:"),
        ([gzip.compress(bytes(300 << 20)), BASE], "too-compressed", "as a bomb does"),
    ],
)
def test_unknown_with_its_reason(registry, layers, code, sentence):
    contents = registry.read(*layers)
    assert contents.unknown is not None
    assert contents.unknown.code == code
    assert sentence in contents.unknown.reason
    assert contents.packages is None
    assert registry.read(*layers) == contents


def test_a_bad_layer_is_not_read_again_and_leaves_others_alone(registry):
    bad = registry.add(b"garbage" * 200)
    contents = registry.read(BASE, bad)
    assert str(bad.digest) in contents.unknown.reason
    assert registry.read(BASE, bad) == contents
    assert registry.asked.count(bad.digest) == 1
    assert registry.read(BASE).unknown is None


def test_broken_paragraphs_leave_the_others(registry):
    contents = registry.read(BASE, {STATUS: paragraph("a") + "rubbish\n\n" + paragraph("b")})
    assert names(contents) == ["a", "b"]
    assert contents.unknown.code == "package-database-broken"
    assert contents.distro == CODENAME


@pytest.mark.parametrize(
    ("media_type", "code"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign-layer"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "foreign-layer"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted-layer"),
        ("application/vnd.in-toto+json", "not-a-layer"),
    ],
)
def test_layers_that_are_not_asked_for(registry, media_type, code):
    layer = registry.add(b"x", media_type)
    contents = registry.read(BASE, layer)
    assert contents.unknown.code == code
    assert str(layer.digest) in contents.unknown.reason
    assert registry.asked == []


def test_more_layers_than_any_image_has(registry):
    assert registry.read(*[registry.add(BASE)] * 1001).unknown.code == "too-many-entries"


@pytest.mark.parametrize("end", [0, 3, 100, -1])
def test_half_a_blob_is_asked_for_again(registry, end):
    layer = registry.add(BASE)
    whole = registry.blobs[layer.digest]
    registry.blobs[layer.digest] = whole[:end]
    assert registry.read(layer).unknown.code == "truncated"
    registry.blobs[layer.digest] = whole
    assert registry.read(layer).unknown is None


def test_another_blob_than_asked_for_is_not_believed(registry):
    layer = registry.add(BASE)
    whole = registry.blobs[layer.digest]
    for other in (make_layer(BASE | {STATUS: paragraph("evil")}), b"garbage" * 200):
        registry.blobs[layer.digest] = other.ljust(len(whole), b"\0")
        assert registry.read(layer).unknown.code == "digest-mismatch"
    registry.blobs[layer.digest] = whole
    assert names(registry.read(layer)) == ["bash", "dpkg", "held"]


def test_a_source_without_the_blob_raises(registry):
    with pytest.raises(Missing):
        registry.read(Descriptor(GZIP, Digest.of(b"none"), 4))


def test_each_reading_is_kept_before_the_next_layer_is_asked_for(registry):
    kept = []
    layers = (Descriptor(GZIP, Digest.of(b"none"), 4), registry.add(BASE))
    manifest = ImageManifest("application/vnd.oci.image.manifest.v1+json", CONFIG, layers)
    config = ImageConfig(None, Platform.parse("linux/amd64"))
    with pytest.raises(Missing):
        read_contents(
            registry, "r.example/a", manifest, config, known=lambda _: None, keep=kept.append
        )
    assert [reading.digest for reading in kept] == [layers[1].digest]


def apt(registry, **files):
    contents = registry.read(BASE, files)
    assert contents.apt is not None
    return contents.apt


def test_apt_reads_lists_parts_and_pins(registry):
    setup = apt(
        registry,
        **{
            "etc/apt/sources.list": "deb [trusted=yes] file:/srv/repo ./\n",
            "etc/apt/sources.list.d/x.list": "deb http://apt.example.org/x bookworm main\n",
            "etc/apt/sources.list.d/x.list.save": "deb http://apt.example.org/no bookworm main\n",
            "etc/apt/preferences.d/pin": "Package: *\nPin: release n=bookworm\nPin-Priority: 42\n",
        },
    )
    assert [source.uri for source in setup.sources] == [
        "file:/srv/repo",
        "https://apt.example.org/debian",
        "http://apt.example.org/x",
    ]
    assert [pin.priority for pin in setup.pins] == [42]
    assert [keyring.path for keyring in setup.keyrings] == [
        "usr/share/keyrings/debian-archive-keyring.gpg",
        "etc/apt/trusted.gpg.d/debian.asc",
    ]
    assert setup.problems == ()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"usr/share/keyrings/.wh.debian-archive-keyring.gpg": ""},
            "the keyring of https://apt.example.org/debian bookworm is not in the image",
        ),
        (
            {"etc/apt/sources.list": ("link", "/srv/list")},
            "etc/apt/sources.list: is a link to 'srv/list'",
        ),
        ({"etc/apt/sources.list.d": ("link", "/srv/d")}, "sources.list.d: is a link to 'srv/d'"),
        ({"etc/apt/sources.list": "x" * (2 << 20)}, "too large"),
        ({"etc/apt/preferences": ("hard", "srv/pins")}, "a hard link to 'srv/pins'"),
        ({"var/lib/dpkg/arch": ("link", "/srv/arch")}, "var/lib/dpkg/arch: is a link"),
        ({"etc/apt/sources.list": "deb rubbish\n"}, "etc/apt/sources.list"),
    ],
)
def test_what_is_amiss_with_apt_is_said(registry, files, sentence):
    [problem] = apt(registry, **files).problems
    assert sentence in problem


def test_images_without_apt_sources(registry):
    gone = {"etc/apt/sources.list.d/.wh.debian.sources": "", "etc/apt/sources.list": "# none\n"}
    assert registry.read(BASE, gone).apt is None


def test_architectures(registry):
    assert apt(registry, **{"var/lib/dpkg/arch": "amd64\ni386\nX!\n"}).architectures == (
        "amd64",
        "i386",
    )
    both = (
        paragraph("dpkg", arch="arm64") + paragraph("a", arch="armhf") + paragraph("b", arch="all")
    )
    assert apt(registry, **{STATUS: both}).architectures == ("arm64", "armhf")


@pytest.mark.parametrize(
    ("platform", "native"),
    [
        ("linux/amd64", "amd64"),
        ("linux/arm64/v8", "arm64"),
        ("linux/arm/v7", "armhf"),
        ("linux/arm/v6", "armel"),
        ("linux/386", "i386"),
        ("linux/ppc64le", "ppc64el"),
        ("linux/mips64le", "mips64el"),
        ("linux/s390x", "s390x"),
        ("linux/riscv64", "riscv64"),
    ],
)
def test_native_architecture_of_a_platform(platform, native):
    assert list_architectures((), Platform.parse(platform)) == (native,)


def test_distribution_without_os_release(registry):
    files = {"etc/debian_version": "12.8\n", STATUS: paragraph("a")}
    assert registry.read(files).distro == Distro("debian", "12", "bookworm", "Debian 12.8")
    assert registry.read({STATUS: paragraph("a")}).distro is None


def test_readings_say_the_problem_with_its_code(registry):
    bad = registry.add(b"\x1f\x8b" + b"garbage" * 10)
    registry.read(bad)
    assert registry.store[bad.digest].entries == ()
    assert isinstance(registry.store[bad.digest].problem, Unknown)
