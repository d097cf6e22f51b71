"""Files that are written whole or not at all, and errors that a reader can act on."""

import os
import platform
import subprocess
import sys

import filelock
import pytest

from helpers.errors import (
    CheckpointError,
    CourseError,
    DataError,
    FileError,
    InputError,
    Interrupted,
    TrainingError,
)
from helpers.files import HOME, hold, replace_file
from lab.text_files import replace_text


def test_a_new_content_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("first", "zwölf"):
        replace_text(path, text)
        assert path.read_text(encoding="utf-8") == text and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and temporary != path
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_processes_do_not_write_to_the_same_temporary_file(tmp_path, monkeypatch):
    names = []
    for process in (os.getpid(), 7):
        monkeypatch.setattr(os, "getpid", lambda answer=process: answer)
        with replace_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("whole")
            names.append(temporary.name)
    assert len(set(names)) == 2 and all(name.startswith("a.txt.") for name in names)


def test_a_file_that_cannot_take_the_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space left"):
        replace_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [FileError, DataError, CheckpointError])
def test_an_error_names_file_problem_and_remedy(tmp_path, kind):
    error = kind(tmp_path / "a.txt", "is empty", "Delete it")
    assert str(error) == f"{tmp_path / 'a.txt'}: is empty. Delete it." and error.path == tmp_path / "a.txt"
    assert isinstance(error, CourseError)


def test_errors_are_of_the_kinds_that_callers_expect():
    assert issubclass(InputError, ValueError) and issubclass(InputError, CourseError)
    assert issubclass(TrainingError, CourseError)
    assert issubclass(Interrupted, KeyboardInterrupt) and not issubclass(Interrupted, Exception)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CourseError("what to do"), "CourseError: what to do"),
        (InputError("what to do"), "InputError: what to do"),
        (TrainingError("what to do"), "TrainingError: what to do"),
        (DataError("a.gz", "is empty", "Fetch it"), "DataError: a.gz: is empty. Fetch it."),
        (Interrupted("2 of 3 epochs are saved"), "2 of 3 epochs are saved"),
    ],
)
def test_a_notebook_shows_an_error_as_one_line(error, line):
    assert error._render_traceback_() == [line]


def test_what_one_holds_another_is_told_of_or_waits_for(tmp_path):
    path = tmp_path / "new" / "a"
    code = "import os, sys, time; from pathlib import Path; from helpers.files import hold\n"
    code += "with hold(Path(sys.argv[1])):\n    print(os.getpid(), flush=True); time.sleep(float(sys.argv[2]))"
    for seconds, kill in ((30, True), (0.5, False)):
        command = [sys.executable, "-c", code, str(path), str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HOME) as other:
            who = f"process {int(other.stdout.readline())} on {platform.node()}"
            with pytest.raises(FileError, match=f"a: is in use by {who}, since .*Wait until"), hold(path):
                pass
            if kill:
                other.kill()  # however it ends, the lock goes with it
            with hold(path, seconds=20):
                assert f"process {os.getpid()} " in (tmp_path / "new" / ".a.holder").read_text()
    with pytest.raises(ZeroDivisionError), hold(path):
        raise ZeroDivisionError
    with hold(path):
        assert not list(path.parent.glob("[!.]*")), "nothing that a reader would see"
    assert not (path.parent / ".a.holder").exists()


def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", missing)
    with pytest.raises(FileError, match="cannot be written .*flock.*Name another folder"), hold(tmp_path / "a"):
        pass


def test_what_nobody_can_hold_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written .*Name another folder"), hold(tmp_path / "file" / "a"):
        pass

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", forbidden)
    with pytest.raises(FileError, match="cannot be written .*Permission denied"), hold(tmp_path / "folder" / "a"):
        pass


def test_a_holder_of_any_kind_is_no_trouble(tmp_path):
    precious, holder = tmp_path / "precious", tmp_path / ".a.holder"
    precious.write_text("keep")
    holder.symlink_to(precious)
    with hold(tmp_path / "a"):
        assert precious.read_text() == "keep" and not holder.is_symlink(), "the link was replaced, not followed"
        holder.write_bytes(b"\xff\xfe")
        with pytest.raises(FileError, match="a: is in use by"), hold(tmp_path / "a"):
            pass
        holder.unlink()
        holder.mkdir()
        with pytest.raises(FileError, match="a: is in use by another process"), hold(tmp_path / "a"):
            pass
        holder.rmdir()


def test_a_line_of_an_error_is_one_line_and_not_a_page():
    line = str(FileError("a\nb.pt", "is bad (" + "key\n\t" * 500 + ")", "Name another"))
    assert "\n" not in line and "a b.pt: is bad (key key" in line and len(line) < 400
