"""The sample fleet that ``imagecatalog demo`` shows: real packages in an invented company's images.

Beside this file lie four folders and a list of builds, all made by ``scripts/make_fleet.py`` from the Debian archive:
``images`` is an OCI layout, ``mirror`` the slice of the apt indices that its images' sources name
(signed by ``mirror/keyring.pgp``), ``pods`` what two clusters run, as
``kubectl get pods --all-namespaces -o json`` prints it, ``builds.json`` what some builders tell,
``advisories`` a cut of Debian's tracker beside ratings that are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

REGISTRY = "registry.example.org"
"""The registry that the sample images are named after."""

APT_SITE = "https://apt.example.org/"
"""Where the images' apt sources point; the sample's mirror stands for all of it."""

_FOLDER = Path(__file__).parent


def images() -> Path:
    """The OCI layout that holds every sample image under its full name."""
    return _FOLDER / "images"


def mirror() -> Path:
    """The folder that answers for ``APT_SITE``."""
    return _FOLDER / "mirror"


def keyring() -> Path:
    """The OpenPGP certificate that signed the mirror's releases; the images carry it too."""
    return _FOLDER / "mirror" / "keyring.pgp"


def builds() -> Path:
    """What builders tell of some of the images: a list of ``domain.builds.Build`` in JSON."""
    return _FOLDER / "builds.json"


def tracker() -> Path:
    """The folder that answers for Debian's security tracker, for the sample's sources alone."""
    return _FOLDER / "advisories" / "tracker"


def kev() -> Path:
    """A catalog of exploited faults, as CISA writes it; which they are is made up."""
    return _FOLDER / "advisories" / "kev.json"


def epss() -> Path:
    """Probabilities of being exploited, as FIRST writes them; they are made up."""
    return _FOLDER / "advisories" / "epss.csv"


def pods() -> Mapping[str, Path]:
    """Each sample cluster's pod list, by the cluster's name."""
    return {file.stem: file for file in sorted((_FOLDER / "pods").glob("*.json"))}
