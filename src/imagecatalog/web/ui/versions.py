"""What changed from one version text to another, for the eye."""

from __future__ import annotations

import re

_PART = re.compile(r"[0-9]+|[^0-9]+")


def split_change(installed: str, candidate: str) -> tuple[str, str, str]:
    """The start that both share, and what each has after it; a run of digits is never cut.

    >>> split_change("3.0.14-1~deb12u1", "3.0.15-1~deb12u1")
    ('3.0.', '14-1~deb12u1', '15-1~deb12u1')
    """
    shared = ""
    for left, right in zip(_PART.findall(installed), _PART.findall(candidate), strict=False):
        if left != right:
            break
        shared += left
    return shared, installed[len(shared) :], candidate[len(shared) :]
