"""Whatever editors, deployments and accidents do to the files, rules stay whole and changes are seen."""

import os
import shutil

import pytest
import yaml

from guardrail.errors import RuleError
from guardrail.rules import folder as folder_of_rules
from guardrail.sources.file import FileSource
from guardrail.sources.live import Live
from tests.sources.followed import Followed

RULES = """\
rules:
- resource: orders.create
  kind: limit
  rate: 1000/min
- resource: payments.*
  kind: breaker
  open_for: 30s
"""


def test_a_rewrite_in_place(followed, path):
    path.write_text("second")
    assert "first" == followed.look()
    assert "second" == followed.look()


def test_a_replaced_file(followed, path, tmp_path):
    for number in range(50):
        (tmp_path / "new").write_text(f"rules {number}")
        (tmp_path / "new").replace(path)
        assert f"rules {number}" == followed.look(2)


def test_the_same_size_and_the_same_time_stamp(followed, path):
    before = path.stat()
    path.write_text("other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
    assert "other" == followed.look(2)


def test_a_touched_file_is_no_change(followed, path):
    for number in range(4):
        os.utime(path, (number, number))
        followed.look()
    assert [] == followed.taken


def test_a_file_that_is_written_slowly_is_never_taken_up_half(path):
    """Many of its beginnings are valid YAML, and mean something else."""
    path.write_text("rules: []\n")
    taken, problems = [], []
    live = Live(FileSource(path), lambda files: yaml.safe_load(files[str(path)]), taken.append, problems.append)
    live.load()
    halves = 0
    for end in range(1, len(RULES)):
        path.write_text(RULES[:end])
        halves += isinstance(loaded_or_none(RULES[:end]), dict)
        live.poll()
    assert halves > 20
    assert ([], []) == (taken, problems)
    path.write_text(RULES)
    live.poll()
    live.poll()
    assert [yaml.safe_load(RULES)] == taken


def loaded_or_none(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


class ConfigMap:
    """A volume as Kubernetes mounts it: every visible file is a link through `..data`, which is swapped in one step."""

    def __init__(self, folder):
        self.folder = folder
        self.version = 0

    def swap(self, files):
        self.version += 1
        fresh = self.folder / f"..2026_{self.version}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        data = self.folder / "..data"
        old = data.resolve() if data.is_symlink() else None
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").replace(data)
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        for link in self.folder.glob("*.yaml"):
            if link.name not in files:
                link.unlink()
        if old is not None:
            shutil.rmtree(old)


@pytest.mark.parametrize("watched", ["the file", "the folder"])
def test_a_config_map_swapped_again_and_again(tmp_path, watched):
    volume = ConfigMap(tmp_path)
    volume.swap({"rules.yaml": "version 0"})
    followed = Followed(tmp_path / "rules.yaml" if watched == "the file" else tmp_path)
    for number in range(1, 51):
        volume.swap({"rules.yaml": f"version {number}"})
        assert f"version {number}" == followed.look(2)
    assert 50 == len(followed.taken)
    assert [] == followed.problems


def test_a_config_map_that_gains_and_loses_files(tmp_path):
    volume = ConfigMap(tmp_path)
    volume.swap({"a.yaml": "a"})
    followed = Followed(tmp_path)
    volume.swap({"a.yaml": "a", "b.yaml": "b"})
    assert "a + b" == followed.look(2)
    volume.swap({"b.yaml": "c"})
    assert "c" == followed.look(2)
    assert [] == followed.problems


def test_a_link_whose_target_is_gone_for_a_moment_is_no_news(tmp_path):
    """A config map's links outlive their files for as long as it takes to tidy up."""
    (tmp_path / "a.yaml").write_text("a")
    followed = Followed(tmp_path)
    (tmp_path / "b.yaml").symlink_to("..data/b.yaml")
    followed.look()
    (tmp_path / "b.yaml").unlink()
    assert "a" == followed.look(2)
    assert ([], []) == (followed.taken, followed.problems)


def test_a_file_that_disappears_and_comes_back(followed, path):
    for number in range(3):
        path.unlink()
        followed.look(4)
        assert number + 1 == len(followed.problems)
        path.write_text(f"return {number}")
        assert f"return {number}" == followed.look(2)
    assert [f"No such file or directory: '{path}'"] * 3 == [
        str(problem).partition("] ")[2] for problem in followed.problems
    ]


def test_a_file_that_comes_back_as_it_was_is_no_change(followed, path):
    path.unlink()
    followed.look(2)
    path.write_text("first")
    followed.look(2)
    assert [] == followed.taken


def a_pipe(path):
    os.mkfifo(path)


def an_empty_folder(path):
    path.mkdir()


def a_folder_of_folders(path):
    (path / "inner.yaml").mkdir(parents=True)


def a_link_to_nothing(path):
    path.symlink_to("nothing")


def a_link_to_itself(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize("put", [a_pipe, an_empty_folder, a_folder_of_folders, a_link_to_nothing, a_link_to_itself])
def test_what_is_no_rule_file_in_the_place_of_one(followed, path, put):
    path.unlink()
    put(path)
    assert "first" == followed.look(4)
    assert [True] == [str(path) in str(problem) for problem in followed.problems]
    with pytest.raises((OSError, RuleError)):
        followed.live.reload()
    path.rename(path.with_name("away"))
    path.write_text("second")
    assert "second" == followed.look(2)


def test_a_folder_of_rules_in_the_place_of_the_file(followed, path):
    path.unlink()
    path.mkdir()
    (path / "a.yaml").write_text("from a folder")
    assert "from a folder" == followed.look(2)


def test_a_file_that_may_not_be_read_any_more(followed, path, monkeypatch):
    """Simulated: root may read everything."""

    def denied(path, flags):
        raise PermissionError(13, "Permission denied", path)

    path.write_text("second")
    with monkeypatch.context() as patch:
        patch.setattr(folder_of_rules, "_without_waiting", denied)
        assert "first" == followed.look(3)
    assert [f"[Errno 13] Permission denied: '{path}'"] == [str(problem) for problem in followed.problems]
    assert "second" == followed.look(2)


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / f"{name}.yaml").write_text(name)
        return tmp_path

    @pytest.fixture
    def path(self, folder):
        return folder

    def test_a_new_file_brings_its_rules(self, followed, folder):
        (folder / "aa.yml").write_text("new")
        assert "a + new + b" == followed.look(2)

    def test_a_removed_file_takes_its_rules_with_it(self, followed, folder):
        (folder / "a.yaml").unlink()
        assert "b" == followed.look(2)
        assert [] == followed.problems

    def test_a_renamed_file_is_a_change(self, followed, folder):
        (folder / "a.yaml").rename(folder / "c.yaml")
        assert "b + a" == followed.look(2)

    def test_files_that_swap_their_contents_are_a_change(self, followed, folder):
        (folder / "a.yaml").write_text("b")
        (folder / "b.yaml").write_text("a")
        assert "b + a" == followed.look(2)

    def test_an_emptied_folder_changes_nothing_and_is_reported_once(self, followed, folder):
        for name in ("a.yaml", "b.yaml"):
            (folder / name).unlink()
        assert "a + b" == followed.look(5)
        assert [f"{folder}: the folder has no rule files (*.yaml, *.yml)"] == [
            str(problem) for problem in followed.problems
        ]
        (folder / "c.yaml").write_text("c")
        assert "c" == followed.look(2)

    def test_a_vanished_folder_changes_nothing_until_it_comes_back(self, followed, folder):
        shutil.rmtree(folder)
        assert "a + b" == followed.look(5)
        assert [FileNotFoundError] == [type(problem) for problem in followed.problems]
        folder.mkdir()
        (folder / "c.yaml").write_text("c")
        assert "c" == followed.look(2)

    def test_one_bad_file_keeps_all_as_they_were(self, followed, folder):
        (folder / "a.yaml").write_text("good")
        (folder / "b.yaml").write_text("bad")
        assert "a + b" == followed.look(2)
        (folder / "b.yaml").write_text("better")
        assert "good + better" == followed.look(2)

    def test_a_file_that_vanishes_while_the_folder_is_read_is_no_news(self, followed, folder, monkeypatch):
        def late(path, flags):
            (folder / "b.yaml").unlink(missing_ok=True)
            return os.open(path, flags)

        monkeypatch.setattr(folder_of_rules, "_without_waiting", late)
        assert "a" == followed.look(3)
        assert [] == followed.problems
