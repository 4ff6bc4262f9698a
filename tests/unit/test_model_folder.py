"""Where a trained model goes, and what is never replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagetodem_qgis.runtime import model_folder
from imagetodem_qgis.runtime.locations import shipped_models_folder
from imagetodem_qgis.runtime.model_folder import is_unfinished, problem_of_output, put_in_place, run_folder


def model(folder: Path, text: str) -> Path:
    (folder / "figures").mkdir(parents=True)
    (folder / "model.json").write_text(text)
    (folder / "figures" / "tile.png").write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_lies_beside_its_model(tmp_path):
    assert run_folder(tmp_path / "alps") == tmp_path / "alps.training"
    assert run_folder(tmp_path / "alps.v2") == tmp_path / "alps.v2.training"


def test_a_run_is_unfinished_from_its_first_checkpoint_until_its_own_model_is_there(tmp_path):
    run = tmp_path / "alps.training"
    assert not is_unfinished(run)
    run.mkdir()
    (run / "log.csv").write_text("")
    assert not is_unfinished(run)
    (run / "checkpoint.npz.part").write_text("")
    assert not is_unfinished(run)
    (run / "checkpoint.npz").write_text("")
    assert is_unfinished(run)
    model(run / "model", "new")
    assert not is_unfinished(run)
    os.utime(run / "model" / "model.json", ns=(0, 0))
    assert is_unfinished(run)


def test_a_model_is_put_where_none_was(tmp_path):
    put_in_place(model(tmp_path / "new", "new"), tmp_path / "there" / "alps")
    assert names(tmp_path / "there") == ["alps"]
    assert (tmp_path / "there" / "alps" / "figures" / "tile.png").read_text() == "new"
    assert (tmp_path / "new" / "model.json").exists()


def test_an_earlier_model_is_replaced_as_a_whole(tmp_path):
    earlier = model(tmp_path / "alps", "old")
    (earlier / "left.over").write_text("old")
    put_in_place(model(tmp_path / "new", "new"), earlier)
    assert names(earlier) == ["figures", "model.json"]
    assert (earlier / "model.json").read_text() == "new"
    assert names(tmp_path) == ["alps", "new"]


def test_an_earlier_model_stays_where_the_copy_fails(tmp_path, monkeypatch):
    earlier = model(tmp_path / "alps", "old")

    def fail(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "half").write_text("")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder.shutil, "copytree", fail)
    with pytest.raises(OSError, match="No space left"):
        put_in_place(tmp_path / "new", earlier)
    assert (earlier / "model.json").read_text() == "old"
    assert names(tmp_path) == ["alps"]


def test_an_earlier_model_comes_back_where_the_last_step_fails(tmp_path, monkeypatch):
    earlier = model(tmp_path / "alps", "old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Permission denied"):
        put_in_place(model(tmp_path / "new", "new"), earlier)
    assert (earlier / "model.json").read_text() == "old"
    assert names(tmp_path) == ["alps", "new"]


def test_a_model_may_go_to_a_new_or_empty_folder_or_replace_a_model(tmp_path):
    (tmp_path / "empty").mkdir()
    model(tmp_path / "alps", "old")
    for name in ("empty", "alps", "new", "deep/er/new"):
        assert problem_of_output(tmp_path / name) == ""


def test_nothing_else_is_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    assert "something else than a model" in problem_of_output(tmp_path / "thesis")
    assert "is a file" in problem_of_output(tmp_path / "thesis" / "chapter.tex")
    assert "cannot be written to" in problem_of_output(tmp_path / "thesis" / "chapter.tex" / "alps")
    assert "come with the plugin" in problem_of_output(shipped_models_folder() / "relief-light")
    assert "come with the plugin" in problem_of_output(shipped_models_folder() / "alps")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written to" in problem_of_output(tmp_path / "alps")
