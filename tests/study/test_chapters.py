"""Every chapter: in order, true to MATHS.md, complete, and it runs."""

import ast
import re

import pytest

from minivae.study import index, runner
from minivae.study.exercises import EXERCISES

CHAPTERS = runner.chapters()
NUMBERS = {p.name: p.numbers for p in index.places()}
ORDER = [
    "dimensionality-reduction",
    "principal-components",
    "autoencoders",
    "limits-of-autoencoders",
    "variational-autoencoders",
    "regularisation",
    "probabilistic-model",
    "variational-inference",
    "neural-networks",
    "takeaways",
]
QUICK = ORDER[:2]
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.name)


def test_one_chapter_per_section_in_order():
    assert [c.name for c in CHAPTERS] == ORDER


@each_chapter
def test_its_equations_are_those_of_the_derivation(chapter):
    derived = {e.number: e.latex for e in index.equations()}
    shown = {e.number: e.latex for e in index.equations(chapter.text)}
    assert shown, "a chapter shows equations"
    assert shown == {n: derived[n] for n in shown}


@each_chapter
def test_each_section_says_what_it_is_about_before_it_shows_anything(chapter):
    assert re.findall(r"^#+ (.+)\n\n(?:```\{code|\$\$)", chapter.text, re.MULTILINE) == []


@each_chapter
def test_it_shows_sources_pictures_and_checked_figures(chapter):
    code = "\n".join(cell.code for cell in chapter.cells)
    for call in ("show_source(", "picture(", "state(", "at_most="):
        assert call in code
    for cell in chapter.cells:
        ast.parse(cell.code)


@each_chapter
def test_the_functions_it_shows_carry_its_equations(chapter):
    """At least one function whose docstring bears a number that the chapter shows."""
    shown = {e.number for e in index.equations(chapter.text)}
    sources = re.findall(r"show_source\(([^)]*)\)", "\n".join(c.code for c in chapter.cells))
    names = [n.strip() for group in sources for n in group.split(",") if n.strip()]
    assert any(NUMBERS.get(name, frozenset()) & shown for name in names)


@each_chapter
def test_its_exercises_are_the_ones_that_are_marked(chapter):
    text = chapter.text.split("## Exercises", 1)[1]
    named = re.findall(r"^\d\. `(\w+)\(", text, flags=re.MULTILINE)
    assert named == [e.name for e in EXERCISES[chapter.name]]
    assert 2 <= len(named) <= 3


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_chapter_runs(name, tmp_path, capsys):
    record = runner.run(runner.chapter(name), tmp_path)
    assert record.pictures and all(p.stat().st_size > 5000 for p, _ in record.pictures)
    assert record.figures and all(f["holds"] for f in record.figures)
    assert "def " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ORDER if name not in QUICK])
def test_every_other_chapter_runs(name, tmp_path):
    record = runner.run(runner.chapter(name), tmp_path)
    assert record.pictures and all(f["holds"] for f in record.figures)


def fake(tmp_path, code):
    path = tmp_path / "01_fake.md"
    path.write_text(f"# Fake\n\ntext\n\n```{{code-cell}} ipython3\n{code}\n```\n", encoding="utf-8")
    return runner.chapters(tmp_path)[0]


def test_a_failing_cell_is_named_by_its_line(tmp_path):
    chapter = fake(tmp_path, "x = 1\n1 / 0")
    with pytest.raises(runner.StudyError, match=r"01_fake.md, line 7: ZeroDivisionError"):
        runner.run(chapter, tmp_path / "out")


@pytest.mark.parametrize(
    "claim", ["2.0, at_most=1.0", "2.0, at_least=3.0", "2.0, near=(1, 0.5)", "float('nan')"]
)
def test_a_missed_claim_stops_the_chapter(tmp_path, claim):
    chapter = fake(tmp_path, f"from minivae.study import state\nstate('this', {claim})")
    with pytest.raises(runner.StudyError, match="line 7: ClaimFailed: this is"):
        runner.run(chapter, tmp_path / "out")


def test_an_unknown_chapter_is_answered_with_the_nearest():
    with pytest.raises(runner.StudyError, match="did you mean 'autoencoders'"):
        runner.chapter("autoencoder")
    assert runner.chapter("3").name == "autoencoders"
