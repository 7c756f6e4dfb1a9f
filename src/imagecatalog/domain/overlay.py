"""Layers laid on one another, as far as their wanted entries go: a small tree of files and links.

Links are followed within the tree alone, as in a root file system: an absolute target begins at
its root, and ``..`` above the root is the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from imagecatalog.domain.contents import LayerEntry
from imagecatalog.errors import TooDeep

_HOPS = 40
"""Links followed in one path, as Linux has it (path_resolution(7))."""
_STEPS = 4096
"""Names passed in one path; its links may lead to and fro."""

Folder: TypeAlias = "dict[str, Node]"
Node: TypeAlias = "Folder | LayerEntry"
"""A folder by name, or an entry of kind ``file`` or ``link``."""


class Tree:
    """A file system that grows layer by layer; raises ``TooDeep`` for links without end."""

    def __init__(self) -> None:
        self._root: Folder = {}

    def lay(self, entries: Iterable[LayerEntry]) -> None:
        """Lay the next newer layer on top: first what it takes away, then what it brings.

        Entries below a linked folder land where the link leads, as a runtime unpacks them.
        """
        entries = tuple(entries)
        for entry in entries:
            if entry.kind == "whiteout":
                folder, name = self._place(entry.path)
                folder.pop(name, None)
            elif entry.kind == "opaque":
                self._folder(entry.path).clear()
        for entry in entries:
            if entry.kind in ("file", "link", "directory"):
                self._put(entry)

    def find(self, path: str) -> LayerEntry | None:
        """The file that a path leads to, or None where none was read."""
        node = self._follow(path)
        return node if isinstance(node, LayerEntry) else None

    def names(self, path: str) -> tuple[str, ...]:
        """What lies in a folder, sorted; nothing where there is no folder."""
        node = self._follow(path)
        return tuple(sorted(node)) if isinstance(node, dict) else ()

    def files(self) -> Iterator[tuple[str, LayerEntry]]:
        """Every file and link with its path; links are not followed."""
        todo: list[tuple[str, Node]] = list(self._root.items())
        while todo:
            path, node = todo.pop()
            if isinstance(node, dict):
                todo.extend((f"{path}/{name}", below) for name, below in node.items())
            else:
                yield path, node

    def resolve(self, path: str) -> str:
        """Where a path leads, links followed, whether or not anything is there."""
        return "/".join(self._walk(path)[0])

    def _put(self, entry: LayerEntry) -> None:
        folder, name = self._place(entry.path)
        if entry.kind == "directory":
            if not isinstance(folder.get(name), dict):
                folder[name] = {}
        elif entry.kind == "file" and entry.target is not None:
            linked = self._follow(entry.target, last=False)
            folder[name] = linked if isinstance(linked, LayerEntry) else entry
        else:
            folder[name] = entry

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rpartition("/")
        return self._folder(parent), name

    def _folder(self, path: str) -> Folder:
        """The folder at a path, links followed; what is missing or no folder is made one."""
        folder = self._root
        for name in self._walk(path)[0]:
            below = folder.get(name)
            if not isinstance(below, dict):
                below = folder[name] = {}
            folder = below
        return folder

    def _follow(self, path: str, *, last: bool = True) -> Node | None:
        return self._walk(path, last=last)[1]

    def _walk(self, path: str, *, last: bool = True) -> tuple[list[str], Node | None]:
        """The path without links and dots, and what is there; ``last``: also the last may be a link."""
        todo = path.split("/")[::-1]
        parts: list[str] = []
        nodes: list[Node | None] = [self._root]
        hops = steps = 0
        while todo:
            part = todo.pop()
            steps += 1
            if part == "..":
                del parts[-1:]
                del nodes[len(parts) + 1 :]
            if part in ("", ".", ".."):
                continue
            above = nodes[-1]
            node = above.get(part) if isinstance(above, dict) else None
            if not (isinstance(node, LayerEntry) and node.kind == "link" and (todo or last)):
                parts.append(part)
                nodes.append(node)
                continue
            hops += 1
            if hops > _HOPS or steps > _STEPS:
                raise TooDeep(path, f"leads through more than {_HOPS} symbolic links")
            target = node.target or ""
            if target.startswith("/"):
                parts, nodes = [], [self._root]
            todo.extend(target.split("/")[::-1])
        return parts, nodes[-1]
