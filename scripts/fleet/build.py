"""Carries out the recipes: first what each image has installed, then its layers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fleet.archive import Archive
from fleet.layout import Entry, Image, Json, Layer, Layout
from fleet.recipes import REGISTRY, Recipe
from fleet.status import INSTALLED, Builder, Database, smallest, write_status

KEYRING_PATH = "usr/share/keyrings/example-archive-keyring.gpg"
SOURCES_PATH = "etc/apt/sources.list.d/debian.sources"
STATUS_PATH = "var/lib/dpkg/status"
NUMBERS = {"bookworm": "12", "trixie": "13"}


@dataclass
class Built:
    """A recipe carried out: an image for each architecture."""

    recipe: Recipe
    images: dict[str, Image] = field(default_factory=dict)
    index: Json | None = None

    @property
    def descriptor(self) -> Json:
        """What its name points to."""
        return self.index or next(iter(self.images.values())).descriptor


class Packages:
    """What each recipe's image has installed, by name and architecture."""

    def __init__(self, archive: Archive, recipes: Sequence[Recipe]) -> None:
        self._archive = archive
        self._builder = functools.cache(functools.partial(Builder, archive))
        self.databases: dict[tuple[str, str], Database] = {}
        self.names: dict[tuple[str, str], set[str]] = {}
        for recipe in recipes:
            for architecture in recipe.architectures:
                if recipe.kind != "scratch":
                    self._solve(recipe, architecture)

    def _solve(self, recipe: Recipe, architecture: str) -> None:
        before = self.databases.get((recipe.parent or "", architecture), {})
        builder = self._builder(recipe.release, architecture, recipe.era)
        after = dict(before)
        if recipe.kind == "distroless":
            whole = builder.install({}, recipe.packages) if recipe.packages else {}
            after |= {name: whole[name] for name in recipe.packages}
        elif recipe.parent is None:
            after = builder.install({}, smallest(self._archive, recipe.release, architecture))
        if recipe.kind == "debian":
            after = self._change(recipe, builder, after)
        self.databases[recipe.name, architecture] = after
        self.names.setdefault((recipe.release, architecture), set()).update(after)

    @staticmethod
    def _change(recipe: Recipe, builder: Builder, after: Database) -> Database:
        if recipe.packages:
            after = builder.install(after, recipe.packages)
        for name in recipe.hold:
            after = after | {name: replace(after[name], state="hold ok installed")}
        if recipe.upgrade:
            after = builder.get(after, "upgrade")
        if recipe.remove:
            after = builder.get(after, "remove", *recipe.remove)
        return after


class Fleet:
    """Writes the images of all recipes into one layout."""

    def __init__(
        self, archive: Archive, packages: Packages, layout: Layout, keyring: bytes
    ) -> None:
        self._archive = archive
        self._packages = packages
        self._layout = layout
        self._keyring = keyring
        self.built: dict[str, Built] = {}

    def add(self, recipe: Recipe) -> None:
        """Writes one image, or an index of one for each architecture, and names it."""
        when = datetime.fromisoformat(recipe.created).replace(hour=6, tzinfo=UTC)
        built = Built(recipe)
        for architecture in recipe.architectures:
            layers = [*self._inherited(recipe, architecture)]
            layers += self._own(recipe, architecture, when)
            built.images[architecture] = self._layout.add_image(
                tuple(layers), architecture, when, self._labels(recipe, architecture)
            )
        if len(recipe.architectures) > 1:
            built.index = self._layout.add_index(list(built.images.values()))
        for tag in (recipe.tag, "latest") if recipe.latest else (recipe.tag,):
            self._layout.name(f"{REGISTRY}/{recipe.repository}:{tag}", built.descriptor)
        self.built[recipe.name] = built

    def _inherited(self, recipe: Recipe, architecture: str) -> tuple[Layer, ...]:
        if recipe.parent is None:
            return ()
        return self.built[recipe.parent].images[architecture].layers

    def _own(self, recipe: Recipe, architecture: str, when: datetime) -> list[Layer]:
        """The layers that the recipe lays upon its parent's."""
        layers = []
        if recipe.kind != "scratch" and recipe.parent is None:
            layers.append(self._base_layer(recipe, architecture, when))
        elif recipe.packages or recipe.upgrade or recipe.hold or recipe.remove:
            status = write_status(self._packages.databases[recipe.name, architecture])
            command = " && ".join(
                f"apt-get {verb} --yes {' '.join(names)}".rstrip()
                for verb, names in (
                    ("install", recipe.packages),
                    ("upgrade", ()),
                    ("remove", recipe.remove),
                )
                if names or (verb == "upgrade" and recipe.upgrade)
            )
            kind = "zstd" if recipe.release == "trixie" else "gzip"
            entries = [Entry(STATUS_PATH, status)]
            layers.append(self._layout.add_layer(entries, when, command, kind=kind))
        if recipe.files:
            entries = [Entry(path, text.encode()) for path, text in recipe.files.items()]
            command = f"COPY {' '.join(sorted(recipe.files))} /"
            layers.append(self._layout.add_layer(entries, when, command))
        return layers

    def _base_layer(self, recipe: Recipe, architecture: str, when: datetime) -> Layer:
        number, database = NUMBERS[recipe.release], self._database(recipe, architecture)
        pretty = f"Debian GNU/Linux {number} ({recipe.release})"
        entries = [Entry("etc/os-release", target="../usr/lib/os-release")]
        if recipe.kind == "distroless":
            release = f'PRETTY_NAME="Distroless"\nID=debian\nVERSION_ID="{number}"\n'
            for name, installed in database.items():
                paragraph = installed.paragraph(state=False).encode()
                entries.append(Entry(f"var/lib/dpkg/status.d/{name}", paragraph))
                entries.append(Entry(f"var/lib/dpkg/status.d/{name}.md5sums"))
        else:
            release = (
                f'PRETTY_NAME="{pretty}"\nNAME="Debian GNU/Linux"\nVERSION_ID="{number}"\n'
                f'VERSION="{number} ({recipe.release})"\nVERSION_CODENAME={recipe.release}\nID=debian\n'
            )
            point = self._archive.suites[recipe.release]
            version = point.head.split("\nVersion: ")[1].split("\n")[0]
            entries += [
                Entry("etc/debian_version", f"{version}\n".encode()),
                Entry(SOURCES_PATH, write_sources(recipe.release).encode()),
                Entry(KEYRING_PATH, self._keyring),
                Entry(STATUS_PATH, write_status(database)),
            ]
        entries.append(Entry("usr/lib/os-release", release.encode()))
        return self._layout.add_layer(entries, when, f"ADD rootfs.tar.xz / # {pretty}")

    def _database(self, recipe: Recipe, architecture: str) -> Database:
        database = self._packages.databases[recipe.name, architecture]
        return {
            name: found
            for name, found in database.items()
            if recipe.kind == "debian" or found.state == INSTALLED
        }

    def _labels(self, recipe: Recipe, architecture: str) -> dict[str, str]:
        prefix = "org.opencontainers.image"
        labels = {
            f"{prefix}.title": recipe.repository.split("/")[-1],
            f"{prefix}.version": recipe.tag,
            f"{prefix}.source": f"https://git.example.org/images/{recipe.repository}",
        }
        if recipe.parent is not None:
            parent = self.built[recipe.parent].images[architecture]
            labels[f"{prefix}.base.name"] = f"{REGISTRY}/{recipe.parent}"
            labels[f"{prefix}.base.digest"] = parent.descriptor["digest"]
        return labels


def write_sources(release: str) -> str:
    """The deb822 sources of a base image."""
    return "\n".join(
        f"Types: deb\nURIs: https://apt.example.org/{site}\nSuites: {suites}\n"
        f"Components: main\nSigned-By: /{KEYRING_PATH}\n"
        for site, suites in (
            ("debian", f"{release} {release}-updates"),
            ("debian-security", f"{release}-security"),
        )
    )
