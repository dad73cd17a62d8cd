"""What the bits depend on is recorded, and held to on a resume or said to differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minivae.runs.config_file import encode_config, read_config
from minivae.runs.environment import blas_threads, changes, environment, held_blas_threads
from tests.training.child_run import ROOT, run_here, small_data
from tests.training.doubles import Notes, StopAt

pytestmark = pytest.mark.usefixtures("swift_disk")
# Wide enough that a BLAS adds up its products in other pieces with another number of threads
SPEC = {
    "model": {"hidden": [400], "data_dim": 784},
    "train": {"epochs": 2, "batch_size": 100},
    "chunk": 1,
}
WIDE = small_data(200, 784)
CHILD = """
import json, sys
from pathlib import Path
from tests.training.child_run import run_here, small_data
from tests.training.doubles import Notes, StopAt
path, resume, pauses = Path(sys.argv[1]), sys.argv[2] == "resume", int(sys.argv[3])
notes = Notes()
stop = StopAt(pauses) if pauses else None
result = run_here(json.loads(sys.argv[4]), path, resume=resume, reporter=notes, stop=stop,
                  data=small_data(200, 784))
print(json.dumps([result.theta.tobytes().hex(), notes.notes]))
"""


def test_an_environment_is_words_and_numpy_alone_names_its_threads():
    facts = environment("numpy")
    assert facts["backend"] == "numpy" and facts["numpy"]
    assert blas_threads(environment("numba")) is None
    if blas_threads(facts) is None:
        pytest.skip("threadpoolctl does not know this BLAS")
    with held_blas_threads(3):
        assert blas_threads(environment("numpy")) == 3
        assert changes(facts, environment("numpy")) == [
            f"BLAS threads {facts['BLAS threads']}, now 3"
        ]
    assert environment("numpy") == facts


def on_cores(count: int, path: Path, how: str, pauses: int = 0):
    """Train in a process that may use so many cores: its parameters and its notes."""
    cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:count])
    env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    done = subprocess.run(
        ["taskset", "-c", cores, sys.executable, "-c", CHILD, str(path), how, str(pauses),
         json.dumps(SPEC)], env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_two_parts(path, threads):
    """A run whose process had two BLAS threads, resumed by one that has one; and its notes."""
    notes = Notes()
    with held_blas_threads(2):
        run_here(SPEC, path, data=WIDE, stop=StopAt(1))
    spec = {**SPEC, "train": {**SPEC["train"], "threads": threads}}
    with held_blas_threads(1):
        return run_here(
            spec, path, data=WIDE, resume=True, reporter=notes
        ).theta.tobytes(), notes.notes


def test_the_threads_of_a_run_are_held_to_unless_others_are_asked_for(tmp_path):
    if blas_threads(environment("numpy")) is None:
        pytest.skip("threadpoolctl does not know this BLAS")
    with held_blas_threads(2):
        whole = run_here(SPEC, None, data=WIDE).theta.tobytes()
    with held_blas_threads(1):
        alone = run_here(SPEC, None, data=WIDE).theta.tobytes()
    assert in_two_parts(tmp_path / "held", None) == (whole, [])
    other, notes = in_two_parts(tmp_path / "asked", 1)
    assert len(notes) == 1 and "BLAS threads 2, now 1" in notes[0] and "bits may differ" in notes[0]
    if whole == alone:
        pytest.skip("this BLAS rounds alike on one thread and two, so that nothing was shown")
    assert other != whole


@pytest.mark.slow
def test_a_run_of_two_cores_resumed_on_one_ends_in_the_same_bits(tmp_path):
    if shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs taskset and two cores")
    if blas_threads(environment("numpy")) is None:
        pytest.skip("threadpoolctl does not know this BLAS")
    whole, _ = on_cores(2, tmp_path / "whole", "new")
    on_cores(2, tmp_path / "cut", "new", pauses=5)
    resumed, notes = on_cores(1, tmp_path / "cut", "resume")
    assert resumed == whole and notes == []


def rewrite(run, change):
    config = read_config(run)
    del config["sha256"]
    change(config)
    (run / "config.json").write_bytes(encode_config(config))


def test_another_library_is_said_in_one_line_and_recorded(tmp_path):
    run, notes = tmp_path / "run", Notes()
    run_here({}, run, stop=StopAt(9))
    rewrite(run, lambda c: c["environments"][0]["facts"].update(numpy="1.26.0"))
    run_here({}, run, resume=True, reporter=notes)
    said = [note for note in notes.notes if "bits may differ" in note]
    assert len(said) == 1 and "numpy 1.26.0, now" in said[0]
    first, second = read_config(run)["environments"]
    assert first["from_update"] == 0 and second["from_update"] > 0
    again = Notes()
    run_here({"train": {"epochs": 7}}, run, resume=True, reporter=again)
    assert not any("bits may differ" in note for note in again.notes), "it was said"
    assert len(read_config(run)["environments"]) == 2


def test_a_run_without_the_record_says_that_its_bits_may_differ(tmp_path):
    run, notes = tmp_path / "run", Notes()
    run_here({}, run, stop=StopAt(9))
    rewrite(run, lambda c: c.pop("environments"))
    run_here({}, run, resume=True, reporter=notes)
    if blas_threads(environment("numpy")) is not None:
        assert any("does not record the BLAS" in note for note in notes.notes)
