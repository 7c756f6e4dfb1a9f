"""What images of CBL-Mariner and Azure Linux say is installed where they carry no RPM database.

A line a package, fields apart by tabs: name, version and release, two times, vendor, epoch or
``(none)``, size, architecture, epoch or 0, and the source's file.
"""

from __future__ import annotations

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.found import Found
from imagecatalog.formats.rpm_header import KEY, split_source, with_epochs
from imagecatalog.formats.third_party import is_foreign_vendor

_FIELDS = 10
_SHOWN = 80


def parse_manifest(data: bytes, where: str) -> PackageDatabase:
    """The packages of ``container-manifest-2``.

    Never raises for what the bytes say: a broken line is told of in ``problem``.
    """
    found = Found(where)
    for number, line in enumerate(data.splitlines(), 1):
        fields = line.decode(errors="replace").split("\t")
        if len(fields) != _FIELDS:
            if line.strip():
                found.fail(f"line {number} has {len(fields)} fields: {fields[0][:_SHOWN]!r}")
            continue
        name, version, _, _, vendor, _, _, arch, epoch, source = fields
        if name == KEY:
            continue
        if version and epoch.isdigit() and int(epoch):
            version = f"{int(epoch)}:{version}"
        found.add(
            "rpm",
            name,
            version,
            arch=arch,
            source=split_source(source),
            foreign=is_foreign_vendor(vendor),
        )
    return with_epochs(found.database())
