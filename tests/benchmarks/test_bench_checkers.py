"""The comparison of gradient checkers: its table, and our own row."""

import pytest

from benchmarks import checkers


def test_the_table_goes_between_the_marks(tmp_path):
    rows = [
        {"checker": "one", "missed": [], "alarms": ["relu6"], "seconds": 1.25},
        {"checker": "two", "left_out": "No module named 'two'"},
    ]
    lines = checkers.table(rows)
    assert lines[2] == "| one | 0 | 1: relu6 | 1.2 |" and "not installed" in lines[3]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- checkers -->\nold\n<!-- end of checkers -->\nafter\n")
    checkers.write(page, lines)
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert lines[2] in text
    with pytest.raises(ValueError, match="checkers"):
        (tmp_path / "bare.md").write_text("nothing")
        checkers.write(tmp_path / "bare.md", lines)


def test_half_of_the_thirty_are_right():
    found = checkers.trials()
    assert len(found) == 30 and sum(t.right for t in found) == 15


@pytest.mark.slow
def test_ours_judges_all_thirty_rightly():
    assert [t.name for t in checkers.trials() if checkers.minivae_check(t) != t.right] == []
