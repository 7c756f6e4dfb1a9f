"""Layers on one another: what replaces what, and where links lead."""

import pytest

from imagecatalog.domain.contents import LayerEntry
from imagecatalog.domain.overlay import Tree
from imagecatalog.errors import TooDeep


def file(path, data="x"):
    return LayerEntry(path, "file", data=data.encode())


def link(path, target):
    return LayerEntry(path, "link", target=target)


def hard(path, target):
    return LayerEntry(path, "file", target=target)


def folder(path):
    return LayerEntry(path, "directory")


def whiteout(path):
    return LayerEntry(path, "whiteout")


def opaque(path):
    return LayerEntry(path, "opaque")


def lay(*layers) -> Tree:
    tree = Tree()
    for layer in layers:
        tree.lay(layer)
    return tree


def data(tree, path):
    entry = tree.find(path)
    return entry.data.decode() if entry and entry.data is not None else None


def test_newer_files_replace_and_others_stay():
    tree = lay([file("etc/a", "1"), file("etc/b", "1")], [file("etc/a", "2")])
    assert (data(tree, "etc/a"), data(tree, "etc/b"), data(tree, "etc/c")) == ("2", "1", None)
    assert tree.names("etc") == ("a", "b")
    assert tree.names("etc/a") == tree.names("none") == ()


def test_a_whiteout_hides_lower_layers_alone_wherever_it_stands():
    below = [file("etc/apt/a", "1"), file("etc/apt/b", "1")]
    assert lay(below, [whiteout("etc/apt/a")]).names("etc/apt") == ("b",)
    assert lay(below, [whiteout("etc/apt")]).names("etc/apt") == ()
    for layer in (
        [whiteout("etc/apt/a"), file("etc/apt/a", "2")],
        [file("etc/apt/a", "2"), whiteout("etc/apt/a")],
    ):
        assert data(lay(below, layer), "etc/apt/a") == "2"
    assert lay(below, [whiteout("etc/apt")], [file("etc/apt/c")]).names("etc/apt") == ("c",)


def test_an_opaque_folder_begins_anew():
    below = [file("etc/apt/a"), file("etc/x")]
    tree = lay(below, [file("etc/apt/b"), opaque("etc/apt")])
    assert tree.names("etc/apt") == ("b",)
    assert tree.names("etc") == ("apt", "x")
    assert lay(below, [opaque(""), file("b")]).names("") == ("b",)


@pytest.mark.parametrize(
    "target",
    [
        "../usr/lib/os-release",
        "/usr/lib/os-release",
        "../../../../usr/lib/os-release",
        "../opt/../usr/./lib//os-release",
        "hop",
    ],
)
def test_links_are_followed_within_the_tree(target):
    layer = [link("etc/os-release", target), file("usr/lib/os-release", "found")]
    tree = lay([link("etc/hop", "../usr/lib/os-release")], layer)
    assert data(tree, "etc/os-release") == "found"
    assert tree.resolve("etc/os-release") == "usr/lib/os-release"


def test_files_land_behind_linked_folders_whichever_layer_has_the_link():
    linked = [link("lib", "usr/lib"), link("var/lib/dpkg", "../../usr/lib/dpkg")]
    files = [file("lib/apk", "1"), file("var/lib/dpkg/status", "2")]
    for tree in (lay(linked, files), lay(linked + files)):
        assert data(tree, "usr/lib/apk") == data(tree, "lib/apk") == "1"
        assert data(tree, "usr/lib/dpkg/status") == data(tree, "var/lib/dpkg/status") == "2"
    gone = lay(linked, files, [whiteout("lib/apk"), opaque("var/lib/dpkg")])
    assert gone.names("usr/lib") == ("dpkg",)
    assert gone.names("usr/lib/dpkg") == ()


def test_a_folder_replaces_a_link_and_a_link_a_folder():
    base = [link("lib", "usr/lib"), file("usr/lib/a", "1")]
    assert data(lay(base, [folder("lib")]), "lib/a") is None
    assert data(lay([file("lib/a", "2")], [*base]), "lib/a") == "1"
    assert lay([file("etc/a")], [folder("etc")]).names("etc") == ("a",)
    assert lay([file("etc/a")], [file("etc")]).names("etc") == ()
    assert data(lay([file("etc")], [file("etc/a", "3")]), "etc/a") == "3"


def test_hard_links_are_the_file_they_name():
    tree = lay([file("usr/lib/os-release", "1")], [hard("etc/os-release", "usr/lib/os-release")])
    tree.lay([file("usr/lib/os-release", "2")])
    assert data(tree, "etc/os-release") == "1"
    unread = lay([hard("etc/os-release", "etc/shadow")]).find("etc/os-release")
    assert unread is not None
    assert (unread.data, unread.target) == (None, "etc/shadow")
    linked = lay([link("a", "b"), hard("c", "a"), file("b", "3")])
    assert data(linked, "c") == "3"


@pytest.mark.parametrize(
    "layer",
    [
        [link("etc", "etc")],
        [link("etc", "usr"), link("usr", "/etc")],
        [link("etc", "etc/etc/etc")],
        [link("etc", "a/../" * 800 + "etc")],
    ],
)
def test_links_in_a_circle(layer):
    tree = lay(layer)
    with pytest.raises(TooDeep):
        tree.find("etc/os-release")
    with pytest.raises(TooDeep):
        tree.lay([file("etc/os-release")])


def test_a_link_to_nowhere_and_one_without_a_target():
    tree = lay([link("etc/a", "../opt/b"), link("etc/c", "")])
    assert tree.find("etc/a") is None
    assert tree.resolve("etc/a") == "opt/b"
    assert tree.find("etc/c") is None
