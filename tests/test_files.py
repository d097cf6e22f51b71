"""Files that are written whole or not at all."""

import pytest

from helpers.files import FileError, replace_file, replace_text


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


def test_a_file_that_cannot_take_the_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space left"):
        replace_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_names_file_problem_and_remedy(tmp_path):
    error = FileError(tmp_path / "a.txt", "is empty", "Delete it")
    assert str(error) == f"{tmp_path / 'a.txt'}: is empty. Delete it." and error.path == tmp_path / "a.txt"
