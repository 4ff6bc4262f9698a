"""The plugin's folder and zip, and the installation into a profile."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from scripts import install, package

ROOT = package.ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project with git, as a developer has it: tracked, new and ignored files."""
    root = tmp_path / "checkout"
    files = {
        "imagetodem_qgis/__init__.py": "",
        "imagetodem_qgis/core/tiling.py": "x = 1\n",
        "imagetodem_qgis/runtime/predict.in": "onnxruntime",
        "imagetodem_qgis/core/__pycache__/tiling.cpython-39.pyc": "bytes",
        "training/losses.py": "y = 2\n",
        "training/ablation_guided.md": "# Measured",
        "training/ablation_guided.json": "{}",
        "model_weights/light/model.json": "{}",
        "tests/unit/test_tiling.py": "",
        "scripts/bench.py": "",
        "build/report.html": "",
        ".gitignore": "build/\n",
        "LICENSE": "terms",
        "README.md": "",
        "metadata.txt": (ROOT / "metadata.txt").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    subprocess.run(["git", "add", "imagetodem_qgis", "LICENSE"], cwd=root, check=True)
    return root


WANTED = [
    "imagetodem_qgis/LICENSE",
    "imagetodem_qgis/__init__.py",
    "imagetodem_qgis/core/tiling.py",
    "imagetodem_qgis/metadata.txt",
    "imagetodem_qgis/model_weights/light/model.json",
    "imagetodem_qgis/training/losses.py",
]


def test_the_plugin_holds_its_own_files_and_no_others(checkout: Path) -> None:
    assert sorted(str(name) for name in package.plugin_files(checkout)) == WANTED


def test_without_git_the_same_files_are_found(checkout: Path) -> None:
    (checkout / ".git").rename(checkout.parent / "elsewhere")
    assert sorted(str(name) for name in package.plugin_files(checkout)) == WANTED


def test_a_file_deleted_but_still_tracked_is_left_out(checkout: Path) -> None:
    (checkout / "imagetodem_qgis/core/tiling.py").unlink()
    assert "imagetodem_qgis/core/tiling.py" not in {str(name) for name in package.plugin_files(checkout)}


def test_a_log_among_the_weights_is_refused_by_name(checkout: Path) -> None:
    (checkout / "model_weights/light/training.log").write_text("step 1")
    with pytest.raises(package.PackageError, match=r"model_weights/light/training\.log"):
        package.plugin_files(checkout)


def test_no_weights_yet_is_no_error(checkout: Path, tmp_path: Path) -> None:
    (checkout / "model_weights/light/model.json").unlink()
    tree = package.assemble(checkout, tmp_path / "out" / package.PLUGIN)
    assert not (tree / "model_weights").exists()
    assert (tree / "training" / "losses.py").read_text() == "y = 2\n"


def test_what_is_gone_from_the_project_goes_from_the_folder(checkout: Path, tmp_path: Path) -> None:
    tree = tmp_path / "out" / package.PLUGIN
    package.assemble(checkout, tree)
    (checkout / "training/losses.py").unlink()
    (checkout / "training/loop.py").write_text("z = 3\n")
    package.assemble(checkout, tree)
    assert [path.name for path in (tree / "training").iterdir()] == ["loop.py"]
    assert [path.name for path in tree.parent.iterdir()] == [package.PLUGIN]


def test_the_same_tree_gives_the_same_zip(checkout: Path, tmp_path: Path) -> None:
    first = package.archive(package.assemble(checkout, tmp_path / "a" / package.PLUGIN), tmp_path / "a")
    for path in checkout.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    second = package.archive(package.assemble(checkout, tmp_path / "b" / package.PLUGIN), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.name == "imagetodem_qgis-0.1.0.zip"
    with zipfile.ZipFile(first) as packed:
        assert packed.namelist() == WANTED
        assert packed.read("imagetodem_qgis/training/losses.py") == b"y = 2\n"


def test_a_zip_over_the_limit_is_refused_and_not_left(checkout: Path, tmp_path: Path) -> None:
    (checkout / "model_weights/light/generator.onnx").write_bytes(os.urandom(50_000))
    tree = package.assemble(checkout, tmp_path / "out" / package.PLUGIN)
    with pytest.raises(package.PackageError, match=r"more than 50,000; largest: .*generator\.onnx 50,"):
        package.archive(tree, tmp_path, size_limit=50_000)
    assert list(tmp_path.glob("*.zip*")) == []


@pytest.mark.parametrize("field", ["about", "tracker", "qgisMinimumVersion"])
def test_metadata_without_a_mandatory_field_is_refused(checkout: Path, tmp_path: Path, field: str) -> None:
    metadata = checkout / "metadata.txt"
    lines = metadata.read_text(encoding="utf-8").replace("\n    ", " ").splitlines(keepends=True)
    metadata.write_text("".join(line for line in lines if not line.startswith(f"{field}=")), encoding="utf-8")
    with pytest.raises(package.PackageError, match=field):
        package.assemble(checkout, tmp_path / "out" / package.PLUGIN)


def test_this_project_makes_a_zip_that_the_repository_takes(tmp_path: Path) -> None:
    tree = package.assemble(ROOT, tmp_path / package.PLUGIN)
    result = package.archive(tree, tmp_path)
    assert result.stat().st_size <= package.SIZE_LIMIT
    metadata = package.read_metadata(tree / "metadata.txt")
    assert (metadata["qgisMinimumVersion"], metadata["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert metadata["hasProcessingProvider"] == "yes"
    assert (tree / metadata["icon"]).is_file()
    assert "GNU GENERAL PUBLIC LICENSE" in (tree / "LICENSE").read_text(encoding="utf-8")
    with zipfile.ZipFile(result) as packed:
        names = packed.namelist()
    assert {"imagetodem_qgis/__init__.py", "imagetodem_qgis/training/__init__.py"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"imagetodem_qgis"}
    assert [
        name for name in names if "__pycache__" in name or "/tests/" in name or name.endswith(".pyc")
    ] == []


@pytest.mark.parametrize(
    ("environment", "platform", "major", "expected"),
    [
        ({"HOME": "/home/a"}, "linux", 3, "/home/a/.local/share/QGIS/QGIS3/profiles"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "linux", 4, "/data/QGIS/QGIS4/profiles"),
        ({"HOME": "/Users/a"}, "darwin", 3, "/Users/a/Library/Application Support/QGIS/QGIS3/profiles"),
        ({"USERPROFILE": "/u", "APPDATA": "/u/Roaming"}, "win32", 3, "/u/Roaming/QGIS/QGIS3/profiles"),
        ({"USERPROFILE": "/u"}, "win32", 3, "/u/AppData/Roaming/QGIS/QGIS3/profiles"),
        ({"HOME": "/home/a", "QGIS_CUSTOM_CONFIG_PATH": "/own"}, "linux", 3, "/own/profiles"),
    ],
)
def test_the_profiles_folder(environment: dict[str, str], platform: str, major: int, expected: str) -> None:
    assert install.profiles_folder(environment, platform, major) == Path(expected)


def test_an_upgrade_replaces_the_whole_plugin(tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "profile" / "python" / "plugins" / package.PLUGIN
    (tree / "core").mkdir(parents=True)
    (tree / "core" / "new.py").write_text("new")
    target.mkdir(parents=True)
    (target / "gone.py").write_text("old")
    install.put_in_place(tree, target)
    assert [path.relative_to(target).as_posix() for path in target.rglob("*.py")] == ["core/new.py"]
    assert sorted(path.name for path in target.parent.iterdir()) == [package.PLUGIN]
    assert sorted(path.name for path in target.parent.parent.iterdir()) == ["plugins"]


def test_a_developers_link_is_replaced_and_its_checkout_left_alone(tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "python" / "plugins" / package.PLUGIN
    checkout = tmp_path / "checkout"
    for folder in (tree, checkout, target.parent):
        folder.mkdir(parents=True)
    (checkout / "mine.py").write_text("mine")
    target.symlink_to(checkout)
    install.put_in_place(tree, target)
    assert target.is_dir()
    assert not target.is_symlink()
    assert (checkout / "mine.py").read_text() == "mine"


def test_a_copy_that_fails_leaves_the_old_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, target = tmp_path / "tree", tmp_path / "python" / "plugins" / package.PLUGIN
    tree.mkdir()
    target.mkdir(parents=True)
    (target / "old.py").write_text("old")
    rename = Path.rename

    def refuse_the_new(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise OSError("disk full")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(OSError, match="disk full"):
        install.put_in_place(tree, target)
    assert (target / "old.py").read_text() == "old"
