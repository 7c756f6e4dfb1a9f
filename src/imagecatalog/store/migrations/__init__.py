"""The steps from one schema to the next, oldest first."""

from __future__ import annotations

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""Every schema that this release can migrate from, and its own."""

HEAD = REVISIONS[-1]
"""This release's schema."""
