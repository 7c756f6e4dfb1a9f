"""Which packages the distribution did not build: no tracker of it speaks of them.

Neither dpkg's database nor RPM's names the archive that a package came from. Debian's maintainers
write any address, so Debian packages are told by the known addresses of others and by what others
write into versions; RPM's carry the vendor who built them.
"""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"nodesource|xamarin|osrf\d|[.~]pgdg\d|\+maria\b"
    r"|\+0~\d{8}|~\+\+\d{8}|\drl\d+~|~debian-[a-z]|-[\d.]+\+debian(?:[89]|1\d)$"
    r"|[~.-](?:wheezy|jessie|stretch|buster|bullseye|bookworm|trixie|forky|xenial|bionic|focal|jammy"
    r"|noble|resolute)\d*(?:\+\d+)?$"
)
"""NodeSource, Mono, Open Robotics, PostgreSQL, MariaDB, Sury and his like, LLVM, Redis, Docker, Zabbix
and Icinga; and the release's codename, which nginx, Percona, Varnish and many others put at the end.
Debian itself writes ``+deb12u1`` or, once, ``+wheezy1``."""

_ADDRESSES = re.compile(
    r"@(?:[\w.-]*\.)?(?:confluent|datadoghq|docker|elastic|elasticsearch|erlang-solutions|gitlab|grafana"
    r"|hashicorp|influxdata|influxdb|mariadb|mongodb|neo4j|nginx|nodesource|percona|puppetlabs"
    r"|rabbitmq|saltproject|saltstack|sysdig|varnish-software|xamarin|yarnpkg|zabbix)"
    r"\.(?:co|com|io|org|net)\b|\b(?:HashiCorp|Kubernetes Authors|(?:Team )?RabbitMQ|nginx packaging)\b",
    re.IGNORECASE,
)
"""Of those who offer archives of their own beside Debian's and Ubuntu's."""

_VENDORS = (
    "Alibaba",
    "AlmaLinux",
    "Amazon",
    "Anolis",
    "CentOS",
    "CloudLinux",
    "Fedora Project",
    "Microsoft Corporation",
    "Oracle America",
    "Photon",
    "Red Hat",
    "Rocky",
    "SUSE",
    "VMware",
    "openEuler",
    "openSUSE",
)
"""How the vendors that are distributions begin."""


def is_third_party(version: str, maintainer: str = "") -> bool:
    """Whether a Debian package of this version, or by this maintainer, is not Debian's or Ubuntu's."""
    return bool(_MARKS.search(version) or _ADDRESSES.search(maintainer))


def is_foreign_vendor(vendor: str) -> bool:
    """Whether an RPM package's vendor is none of the known distributions; one without is let be."""
    return bool(vendor) and not vendor.startswith(_VENDORS)
