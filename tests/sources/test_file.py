"""A file source shows the rule files that are there, under the names that messages give them."""

import os
import socket
from pathlib import Path

import pytest

from guardrail.errors import RuleError
from guardrail.rules.page import LARGEST_FILE
from guardrail.sources.file import FileSource


def test_a_file_is_shown_under_its_path(path):
    assert {str(path): b"first"} == FileSource(path).read()


def test_a_folder_is_the_union_of_its_rule_files_in_the_order_of_their_names(tmp_path):
    for name in ("b.yml", "a.yaml", "c.yaml"):
        (tmp_path / name).write_text(name)
    shown = FileSource(str(tmp_path)).read()
    assert [(str(tmp_path / name), name.encode()) for name in ("a.yaml", "b.yml", "c.yaml")] == list(shown.items())


@pytest.mark.parametrize(
    "name", [".hidden.yaml", "..data", "..data.yaml", "rules.json", "rules.yaml.bak", "rules.YAML~", "yaml"]
)
def test_other_names_in_a_folder_do_not_count(tmp_path, path, name):
    (tmp_path / name).write_text("not a rule file")
    assert [str(path)] == list(FileSource(tmp_path).read())


def test_folders_inside_a_folder_do_not_count(tmp_path, path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "inner.yaml").write_text("inner")
    assert [str(path)] == list(FileSource(tmp_path).read())


def test_links_are_followed(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.yaml").symlink_to(path)
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    assert [b"first"] == list(FileSource(tmp_path / "way" / "link.yaml").read().values())
    assert {str(tmp_path / "way" / "link.yaml"): b"first"} == FileSource(tmp_path / "way").read()


def test_a_relative_path_is_shown_as_given_and_survives_a_change_of_the_working_directory(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file, folder = FileSource("rules.yaml"), FileSource("./")
    monkeypatch.chdir("/")
    assert {"rules.yaml": b"first"} == file.read()
    assert {"rules.yaml": b"first"} == folder.read()
    assert "FileSource('rules.yaml')" == repr(file)


def test_a_folder_without_rule_files_is_a_mistake_in_the_rules(tmp_path):
    with pytest.raises(RuleError) as caught:
        FileSource(tmp_path).read()
    assert f"{tmp_path}: the folder has no rule files (*.yaml, *.yml)" == str(caught.value)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        FileSource(tmp_path / "none.yaml").read()


@pytest.mark.parametrize("within", ["file", "folder"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, within):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(OSError, match=r"must be a regular file.*pipe\.yaml"):
        FileSource(tmp_path / "pipe.yaml" if within == "file" else tmp_path).read()


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening, pytest.raises(OSError, match=r"socket\.yaml"):
        listening.bind("socket.yaml")
        FileSource("socket.yaml").read()


def test_a_device_is_refused():
    with pytest.raises(OSError, match="must be a regular file"):
        FileSource("/dev/zero").read()


def test_no_more_is_read_than_shows_that_a_file_is_too_large(path):
    with path.open("wb") as file:
        file.truncate(10 * LARGEST_FILE)
    assert LARGEST_FILE + 1 == len(FileSource(path).read()[str(path)])


def test_a_refused_file_is_closed_again(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    before = [*Path("/proc/self/fd").iterdir()]
    for _ in range(20):
        with pytest.raises(OSError, match="must be a regular file"):
            FileSource(tmp_path).read()
    assert len(before) == len([*Path("/proc/self/fd").iterdir()])


def test_changes_happen_in_the_folder_or_in_that_of_the_file(path, tmp_path):
    assert tmp_path == FileSource(path).folder
    assert tmp_path == FileSource(tmp_path).folder
    assert tmp_path == FileSource(tmp_path / "none.yaml").folder
