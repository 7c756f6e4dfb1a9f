"""The sample's advisories: a cut of Debian's tracker for the sample's own sources, and invented ratings.

Which source has which fault, and where it is fixed, is as Debian told it. What nobody publishes with
it is made up for the show, the same at each run: urgencies, probabilities, and what is exploited.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from backports import zstd

from imagecatalog.versions import deb

RELEASES = ("bookworm", "trixie")
TRACKER, NOTICES = "tracker-from-advisories.json.zst", "advisories-2025-2026.jsonl.zst"
"""Files of the folder that is read: what Debian fixed, by source; and its notices, one a line."""
SCORED = date(2026, 11, 20)
"""The day that the invented scores are of."""
_KEPT = 3
"""Faults of each source that no image has, so that there is something which is fixed."""

_OPEN: Mapping[str, Mapping[str, tuple[str, str | None]]] = {
    "apt": {"CVE-2011-3374": ("unimportant", None)},
    "coreutils": {"CVE-2016-2781": ("low", "no-dsa")},
    "gcc-12": {"CVE-2022-27943": ("unimportant", None)},
    "glibc": {
        "CVE-2010-4756": ("unimportant", None),
        "CVE-2018-20796": ("unimportant", None),
        "CVE-2019-1010022": ("unimportant", None),
    },
    "gnupg2": {"CVE-2022-3219": ("unimportant", None)},
    "krb5": {"CVE-2018-5709": ("unimportant", None)},
    "libgcrypt20": {"CVE-2018-6829": ("unimportant", None)},
    "openldap": {"CVE-2015-3276": ("unimportant", None)},
    "perl": {"CVE-2011-4116": ("unimportant", None)},
    "shadow": {"CVE-2007-5686": ("unimportant", None)},
    "systemd": {"CVE-2013-4392": ("unimportant", None)},
    "tar": {"CVE-2005-2541": ("unimportant", None)},
    "util-linux": {"CVE-2022-0563": ("unimportant", None)},
    "zlib": {"CVE-2023-45853": ("not yet assigned", "ignored")},
}
"""Faults of bookworm that no notice is about: urgency, and why no fix is to be expected."""


def write_advisories(given: Path, mirror: Path, output: Path) -> None:
    """Write ``tracker/json``, lists of DSA and DLA, ``kev.json`` and ``epss.csv`` for a mirror's sources."""
    sources = _list_sources(mirror)
    tracker = _cut_tracker(_read(given / TRACKER), sources)
    (output / "tracker").mkdir(parents=True)
    text = json.dumps(tracker, indent=0, separators=(",", ":"), sort_keys=True)
    (output / "tracker" / "json").write_text(f"{text}\n")
    for kind in ("DSA", "DLA"):
        (output / "tracker" / kind).mkdir()
        notices = _write_notices(given / NOTICES, tracker, kind)
        (output / "tracker" / kind / "list").write_text(notices)
    fixed, held = set(), set()
    for source, faults in tracker.items():
        for name, issue in faults.items():
            said = {k: v for k, v in issue["releases"].items() if v["status"] == "resolved"}
            fixed |= {name} if said else set()
            held |= {name} if _is_held(said, sources, source) else set()
    (output / "kev.json").write_text(_write_kev(held))
    (output / "epss.csv").write_text(_write_epss(fixed))


def _read(path: Path) -> bytes:
    return zstd.decompress(
        path.read_bytes(), options={zstd.DecompressionParameter.window_log_max: 27}
    )


def _list_sources(mirror: Path) -> dict[str, dict[str, bytes]]:
    """The lowest version of each source in each release of a mirror, as keys."""
    found: dict[str, dict[str, bytes]] = {release: {} for release in RELEASES}
    for file in sorted(mirror.rglob("Packages.xz")):
        release = next(one for one in RELEASES if one in str(file))
        for stanza in lzma.decompress(file.read_bytes()).decode().split("\n\n"):
            fields = dict(re.findall(r"(?m)^(Package|Version|Source): (.+)$", stanza))
            if not fields:
                continue
            name, _, version = fields.get("Source", "").partition(" ")
            name = name or fields["Package"]
            key = deb.key(version.strip("()") or fields["Version"])
            known = found[release].get(name)
            found[release][name] = key if known is None else min(known, key)
    return found


def _cut_tracker(
    body: bytes, sources: Mapping[str, Mapping[str, bytes]]
) -> dict[str, dict[str, Any]]:
    """What some version of the mirror has, and a few faults that none has."""
    cut: dict[str, dict[str, Any]] = {}
    every = json.loads(body)
    for source in sorted({name for held in sources.values() for name in held}):
        issues: dict[str, Any] = {}
        past = _KEPT
        for name, issue in sorted(every.get(source, {}).items(), reverse=True):
            said = {
                release: _resolved(name, issue["releases"][release]["fixed_version"])
                for release in RELEASES
                if "fixed_version" in issue["releases"].get(release, {})
                and source in sources[release]
            }
            if not name.startswith("CVE-") or not said:
                continue
            is_held = _is_held(said, sources, source)
            past -= not is_held
            if is_held or past >= 0:
                issues[name] = {"releases": said}
        for name, (urgency, why) in _OPEN.get(source, {}).items():
            if source in sources["bookworm"]:
                one = {"status": "open", "urgency": urgency}
                one |= {"nodsa": "not worth a notice", "nodsa_reason": why} if why else {}
                issues[name] = {"releases": {"bookworm": one}}
        if issues:
            cut[source] = issues
    return cut


def _is_held(
    said: Mapping[str, Mapping[str, str]],
    sources: Mapping[str, Mapping[str, bytes]],
    source: str,
) -> bool:
    """Whether some version of the mirror has a fault."""
    return any(
        deb.key(one["fixed_version"]) > sources[release][source] for release, one in said.items()
    )


def _resolved(name: str, fixed: str) -> dict[str, str]:
    return {"status": "resolved", "fixed_version": fixed, "urgency": _invent_urgency(name)}


def _draw(name: str, what: str, sides: int) -> int:
    """A number that is always the same for a fault."""
    digest = hashlib.sha256(f"{what} {name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % sides


def _invent_urgency(name: str) -> str:
    drawn = _draw(name, "urgency", 20)
    words = ((3, "high"), (11, "medium"), (16, "low"), (17, "unimportant"))
    return next((word for below, word in words if drawn < below), "not yet assigned")


def _write_notices(path: Path, tracker: Mapping[str, Mapping[str, Any]], kind: str) -> str:
    """The notices of a kind about what is left of the tracker, in its own grammar, the last first."""
    lines = []
    for line in reversed(_read(path).decode().splitlines()):
        one = json.loads(line)
        issues = tracker.get(one["package"], {})
        names = [name for name in one["cves"] if name in issues]
        entries = [
            entry
            for entry in one["entries"]
            if entry["release"] in RELEASES and entry.get("fixed_version")
        ]
        if not one["id"].startswith(kind) or not names or not entries:
            continue
        told = date.fromisoformat(one["date"])
        lines.append(f"[{told:%d %b %Y}] {one['id']} {one['package']} - security update")
        lines.append(f"\t{{{' '.join(names)}}}")
        lines += [
            f"\t[{entry['release']}] - {entry['package']} {entry['fixed_version']}"
            for entry in entries
        ]
    return "".join(f"{line}\n" for line in lines)


def _write_kev(names: Iterable[str]) -> str:
    """A few faults that are said to be exploited, in the shape of CISA's catalog."""
    chosen = sorted(names, key=lambda name: _draw(name, "exploited", 1 << 30))[:4]
    entries = [
        {
            "cveID": name,
            "vulnerabilityName": "Invented for the sample fleet",
            "dateAdded": "2026-11-03",
            "dueDate": "2026-11-24",
            "knownRansomwareCampaignUse": "Unknown",
        }
        for name in sorted(chosen)
    ]
    document = {"catalogVersion": "2026.11.03", "count": len(entries), "vulnerabilities": entries}
    return f"{json.dumps(document, indent=1)}\n"


def _write_epss(names: Iterable[str]) -> str:
    out = io.StringIO()
    out.write(f"#model_version:invented,score_date:{SCORED}T00:00:00+0000\n")
    write = csv.writer(out, lineterminator="\n").writerow
    write(["cve", "epss", "percentile"])
    for name in sorted(names):
        drawn = _draw(name, "epss", 1000)
        write([name, f"{(drawn / 1000) ** 4 * 0.9:.5f}", f"{drawn / 1000:.5f}"])
    return out.getvalue()
