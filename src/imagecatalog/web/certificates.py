"""Whose client certificate a proxy verified: believed of the proxies that the configuration names."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from fastapi import Request

from imagecatalog.config import UNIX_PEER, ApiSetting

_VERIFIED = "SUCCESS"
"""What nginx ($ssl_client_verify) and Apache (SSL_CLIENT_VERIFY) say of a good certificate."""
_LONGEST = 1000
_PART = re.compile(r"((?:[^,+;\\]|\\.)*)([,+;]|$)")


def certificate_name(request: Request, settings: ApiSetting) -> str | None:
    """The common name of the client's certificate; None where no trusted proxy tells of one."""
    if not settings.trusted_proxies or not _is_trusted(request, settings):
        return None
    verified = request.headers.getlist(settings.verified_header)
    subjects = request.headers.getlist(settings.certificate_header)
    if verified != [_VERIFIED] or len(subjects) != 1:
        return None
    return read_common_name(subjects[0])


def _is_trusted(request: Request, settings: ApiSetting) -> bool:
    peer = request.client.host if request.client else ""
    try:
        address = ip_address(peer)
    except ValueError:
        return not peer and UNIX_PEER in settings.trusted_proxies
    address = getattr(address, "ipv4_mapped", None) or address
    networks = (ip_network(one) for one in settings.trusted_proxies if one != UNIX_PEER)
    return any(address in network for network in networks)


def read_common_name(subject: str) -> str | None:
    """The only common name of a distinguished name (RFC 4514); None for one with none or several.

    What is escaped parts nothing, and a name with anything escaped is none.
    """
    if len(subject) > _LONGEST or '"' in subject:
        return None
    names, at = [], 0
    while at < len(subject):
        found = _PART.match(subject, at)
        if found is None:
            return None
        kind, _, value = found[1].partition("=")
        if kind.strip().upper() == "CN":
            names.append(value.strip())
        at = found.end()
    return names[0] if len(names) == 1 and names[0] and "\\" not in names[0] else None
