"""A run's files damaged in every way that Hypothesis thinks of: the same, or one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("hypothesis")
from hypothesis import strategies as st

from minivae.runs.errors import RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_model, load_run
from minivae.runs.metrics_log import CLOCK
from minivae.settings import ConfigError
from tests.reliability.fuzzing import MOST, PARTS, Outcomes, try_mutants
from tests.reliability.mutations import byte_mutants, field_mutants, log_mutants
from tests.reliability.tiny_runs import TINY, go_on, memory_folder, tiny_run
from tests.training.child_run import ending

TARGETS = {
    "config.json": "json",
    "metrics.jsonl": "log",
    "checkpoints/epoch-0002.json": "json",
    "checkpoints/epoch-0002.safetensors": "bytes",
    "checkpoints/last.json": "json",
    "checkpoints/best.json": "json",
}
KINDS = {
    "config.json": "configurations",
    "metrics.jsonl": "logs",
    "checkpoints/epoch-0002.json": "manifests",
    "checkpoints/epoch-0002.safetensors": "tensors",
}  # of all else: pointers
KEPT = Path(__file__).with_name("mutants.jsonl")
RUN_PARTS = 10  # of the parts in all; the others are of data


class Files(dict[str, bytes]):
    """A run's files by name, shown in short."""

    def __repr__(self) -> str:
        return f"<{len(self)} files>"


class Sound(NamedTuple):
    """A whole run, and what its readers say of it."""

    path: Path
    files: Files
    settings: tuple[Any, ...]
    lines: list[str]
    models: dict[str, tuple[Any, ...]]


def settings_of(info: Any) -> tuple[Any, ...]:
    return info.model, info.train.for_checkpoint(), info.data


def lines_of(info: Any) -> list[str]:
    """The log's records without what depends on the clock, which no checksum holds."""
    lasting = [{k: v for k, v in r.items() if k not in CLOCK} for r in info.metrics]
    return [json.dumps(record, sort_keys=True) for record in lasting]


def model_of(run: Path, which: str) -> tuple[Any, ...]:
    model, train, theta, manifest = load_model(run, which)
    return model, train, theta.tobytes(), json.dumps(manifest, sort_keys=True)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    with memory_folder(tmp_path_factory.mktemp("fuzzed")) as folder:
        yield sound_run(folder / "run")


def sound_run(run: Path) -> Sound:
    """A tiny run, made there."""
    tiny_run(run, {**TINY, "train": {**TINY["train"], "keep": 2}})
    info = load_run(run)
    return Sound(
        run,
        Files({name: (run / name).read_bytes() for name in TARGETS}),
        settings_of(info),
        lines_of(info),
        {which: model_of(run, which) for which in ("best", "last")},
    )


def same_or_said(run: Path, read: Callable[[], None]) -> str:
    """What a reader came to: "same", or "said" in one line that names the run or the file."""
    try:
        read()
    except (RunError, ConfigError) as error:
        text = str(error)
        assert "\n" not in text and len(text) <= 600 and text.isprintable(), text
        assert str(run) in text or any(Path(name).name in text for name in TARGETS), text
        return "said"
    return "same"


def judge(sound: Sound, thorough: bool) -> str:
    """Every reader of a damaged run must say the same as of the whole one, or one line.

    Returns "read the same" where all did, "refused in one line" where any said a line.
    """
    run = sound.path

    def settings() -> None:
        notes: list[str] = []
        info = load_run(run, notes.append)
        assert settings_of(info) == sound.settings, notes
        lines = lines_of(info)
        assert [line for line in sound.lines if line in lines] == lines

    def model(which: str) -> Callable[[], None]:
        def read() -> None:
            assert model_of(run, which) == sound.models[which]

        return read

    readers = [settings, *(model(which) for which in ("best", "last"))]
    said = [same_or_said(run, read) for read in readers]
    if thorough:
        report = check_run(run)
        assert all(f.words.isprintable() and len(f.words) <= 600 for f in report.findings)
    return "refused in one line" if "said" in said else "read the same"


def damage(sound: Sound, name: str, data: bytes, thorough: bool) -> str:
    """Judge the run with one file's bytes replaced, and put the file back."""
    (sound.path / name).write_bytes(data)
    try:
        return judge(sound, thorough)
    finally:
        (sound.path / name).write_bytes(sound.files[name])


@st.composite
def mutants(draw: st.DrawFn, files: Files) -> tuple[str, bytes]:
    """A file's name and what it is damaged to."""
    name = draw(st.sampled_from(list(TARGETS)))
    data, kind = files[name], TARGETS[name]
    if kind == "log":
        return name, draw(log_mutants(data))
    if kind == "json" and draw(st.integers(0, 3)):
        text = draw(field_mutants(data.decode()))
        return name, text.encode("utf-8", "surrogatepass")
    return name, draw(byte_mutants(data))


def fuzz(
    sound: Sound,
    count: int,
    thorough_every: int,
    part: int = 0,
    say: Callable[[str], None] = lambda words: None,
) -> Outcomes:
    """Try so many mutants; every so many-th through fsck as well."""

    def attempt(mutant: tuple[str, bytes], number: int) -> tuple[str, str]:
        end = damage(sound, *mutant, thorough=number % thorough_every == 0)
        return KINDS.get(mutant[0], "pointers"), end

    return try_mutants(mutants(sound.files), attempt, count, part, say)


def test_a_thousand_damaged_files(sound: Sound) -> None:
    tried = fuzz(sound, 1000, thorough_every=20)
    assert tried.total() >= 1000 and {kind for kind, _ in tried} == {*KINDS.values(), "pointers"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(RUN_PARTS))
def test_many_damaged_files(
    part: int, sound: Sound, tell: Callable[[str], None], count: Callable[[str, int], None]
) -> None:
    tried = fuzz(sound, MOST // PARTS, 10, part, lambda words: tell(f"a run's files: {words}"))
    count("mutants tried, each the same or one line (no traceback, nothing silent)", tried.total())


def kept() -> list[dict[str, str]]:
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("mutant", kept(), ids=lambda m: m["why"])
def test_damage_that_once_went_wrong(tmp_path: Path, sound: Sound, mutant: dict[str, str]) -> None:
    """Each is read, checked and resumed: to the same bytes, or refused in one line."""
    run = tmp_path / "run"
    shutil.copytree(sound.path, run)
    whole = ending(run)
    path, old = run / mutant["file"], mutant["old"]
    text = path.read_text()
    assert old in text, "the mutant no longer applies"
    new = mutant["new"].replace("{deep}", "[" * 5000 + "]" * 5000).replace("{long}", "9" * 5000)
    path.write_text(text.replace(old, new, 1))
    judge(sound._replace(path=run), thorough=True)
    assert not check_run(run).sound
    done: list[Any] = []
    spec = {**TINY, "train": {**TINY["train"], "keep": 2}}
    if same_or_said(run, lambda: done.append(go_on(run, spec))) == "same":
        assert done[0][0] == whole[0]
        assert all(line in whole[1] for line in done[0][1])
