from __future__ import annotations

import csv
from pathlib import Path

import pytest

from training.evaluate import comma_separated, main, markdown


def test_figures_as_a_table_and_as_csv():
    figures = {
        "hills, steep": {"model": {"tiles": 3, "ssim": 0.98765, "other": 1.5}, "flat mean": {"tiles": 3}},
        "valley": {"model": {"tiles": 1, "ssim": 0.5}},
    }
    rows = list(csv.DictReader(comma_separated(figures).splitlines()))
    assert [row["answer"] for row in rows] == ["model", "flat mean", "model"]
    assert rows[0] == {
        "held_out": "hills, steep", "answer": "model", "tiles": "3", "ssim": "0.98765", "other": "1.5"
    }  # fmt: skip
    assert rows[1]["ssim"] == rows[2]["other"] == ""
    assert markdown(figures).splitlines()[2] == "| hills, steep | model | 3 | 0.988 |"
    assert markdown(figures, ["ssim"]).splitlines()[0] == "| held-out | answer | SSIM |"


def test_the_command_writes_both(tmp_path, monkeypatch, capsys):
    figures = {"hills": {"model": {"tiles": 2, "correlation": 0.75}}}
    asked = []
    monkeypatch.setattr("training.evaluate.evaluate", lambda *given: asked.append(given) or figures)
    table, rows = tmp_path / "t.md", tmp_path / "t.csv"
    given = ["evaluate", "--model", "m", "--dataset", "d", "--split", "test", "--beside", "paper=p"]
    monkeypatch.setattr("sys.argv", [*given, "--csv", str(rows), "--markdown", str(table)])
    main()
    assert asked == [(Path("m"), Path("d"), "test", {"paper": Path("p")}, None)]
    assert rows.read_text() == "held_out,answer,tiles,correlation\nhills,model,2,0.75\n"
    assert table.read_text() == capsys.readouterr().out == markdown(figures) + "\n"
    monkeypatch.setattr("sys.argv", [*given, "--side", "0"])
    with pytest.raises(SystemExit):
        main()
    assert "--side: 0 pixels show nothing" in capsys.readouterr().err
