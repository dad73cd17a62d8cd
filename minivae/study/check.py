"""Marks the reader's answers to a chapter's exercises."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from minivae.study.exercises import EXERCISES
from minivae.study.runner import StudyError

INDENT = " " * 4


class Mark(NamedTuple):
    """One exercise: whether the answer is right, and a hint where it is not."""

    name: str
    right: bool
    hint: str


def write_template(chapter: str, path: Path) -> None:
    """Write the chapter's functions, empty, to `path`. Raises StudyError where the file exists."""
    lines = [f'"""Answers to the chapter {chapter}."""', "", "import numpy as np"]
    for exercise in EXERCISES[chapter]:
        task = fill(f'r"""{exercise.task}"""', 92, initial_indent=INDENT, subsequent_indent=INDENT)
        lines += ["", "", f"def {exercise.signature}:", task]
        lines += ["    raise NotImplementedError"]
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise StudyError(
            f"{path} is there already; name it to have it marked, or move it"
        ) from None


def mark(chapter: str, answers: Path) -> list[Mark]:
    """Run the file of answers and check each exercise.

    The file is the reader's own code and is executed as such. Raises StudyError where it cannot
    be read or run.
    """
    names: dict[str, Any] = {"__name__": "answers"}
    try:
        exec(compile(answers.read_text(encoding="utf-8"), str(answers), "exec"), names)
    except OSError as error:
        raise StudyError(f"{answers}: {error.strerror}") from error
    except (Exception, SystemExit) as error:  # sys.exit() at the end of a script is common
        raise StudyError(f"{answers} does not run: {type(error).__name__}: {error}") from error
    return [_mark_one(exercise, names) for exercise in EXERCISES[chapter]]


def _mark_one(exercise: Any, names: dict[str, Any]) -> Mark:
    answer = names.get(exercise.name)
    if not callable(answer):
        return Mark(exercise.name, False, f"there is no function {exercise.signature}")
    try:
        exercise.check(answer)
    except AssertionError as error:
        return Mark(exercise.name, False, str(error))
    except NotImplementedError:
        return Mark(exercise.name, False, "not answered yet")
    except (Exception, SystemExit) as error:
        return Mark(exercise.name, False, f"it stopped: {type(error).__name__}: {error}")
    return Mark(exercise.name, True, "")
