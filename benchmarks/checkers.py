"""Gradient checkers on the same thirty passes: who passes the wrong ones, who alarms on right ones.

Each peer is used with its own defaults, on float64, through the interface its users have. A peer
that is not installed is left out, and said so.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Of each: its right backward and one wrong one.
PASSES = (
    ("softcap_attention", "no_cap"), ("lstm", "no_forget"), ("layer_norm_with_var", "no_mean"),
    ("cross_entropy", "no_mean"), ("covariance", "divides_by_n"),
    ("cumulative_product", "exclusive"), ("cosine_similarity", "no_projection"),
    ("relu6", "at_six"), ("cube", "at_integers"), ("absolute", "at_zero"),
    ("minimum_of_two", "none"), ("even_split", "all"),
    ("large_scale_and_bias", "bias_sign"), ("loss_and_weight_decay", "decay_sign"),
    ("rectified_layer", "factor"),
)  # fmt: skip


class CheckedPass(NamedTuple):
    """One pass handed to every checker."""

    name: str
    right: bool
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: list[Any]

    def floats(self) -> list[int]:
        return [i for i, v in enumerate(self.inputs) if v.dtype.kind == "f"]

    def with_floats(self, values: Any) -> list[Any]:
        full = list(self.inputs)
        for i, v in zip(self.floats(), values, strict=True):
            full[i] = np.array(v, dtype=np.float64)
        return full

    def gradients(self, dy: Any, values: Any) -> list[Any]:
        """One gradient for each float input."""
        full = self.with_floats(values)
        y, cache = self.forward(*full)
        found = self.backward(np.asarray(dy, np.float64).reshape(np.shape(y)), cache)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) == len(full):
            found = tuple(found[i] for i in self.floats())
        return [np.asarray(g, np.float64) for g in found]


def trials() -> list[CheckedPass]:
    """Thirty passes of the tests' zoo: fifteen right, fifteen wrong."""
    tools, special = map(
        importlib.import_module, ("tests.verify.zoo_tools", "tests.verify.zoo_special")
    )
    zoo = tools.passes(special.ZOO)
    found = []
    for name, mistake in PASSES:
        p = zoo[name]
        found.append(CheckedPass(name, True, p.forward, p.right, p.inputs))
        found.append(CheckedPass(f"{name} {mistake}", False, p.forward, p.wrong[mistake], p.inputs))
    return found


def minivae_check(t: CheckedPass) -> bool:
    from minivae.verify import check

    return bool(check(t.forward, t.backward, t.inputs).ok)


def scipy_check_grad(t: CheckedPass) -> bool:
    """scipy gives a number and no verdict: right is an error below 1e-5 of the gradient's norm."""
    from scipy.optimize import check_grad

    start = [t.inputs[i] for i in t.floats()]
    cuts = np.cumsum([v.size for v in start])[:-1]
    dy = np.random.default_rng(0).normal(size=np.shape(t.forward(*t.inputs)[0]))

    def split(flat: Any) -> list[Any]:
        return [p.reshape(v.shape) for p, v in zip(np.split(flat, cuts), start, strict=True)]

    def value(flat: Any) -> float:
        return float((dy * t.forward(*t.with_floats(split(flat)))[0]).sum())

    def slope(flat: Any) -> Any:
        return np.concatenate([g.ravel() for g in t.gradients(dy, split(flat))])

    flat = np.concatenate([v.ravel() for v in start])
    return bool(check_grad(value, slope, flat) <= 1e-5 * np.linalg.norm(slope(flat)))


def torch_gradcheck(t: CheckedPass) -> bool:
    torch = importlib.import_module("torch")

    class Wrapped(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, *x: Any) -> Any:
            ctx.kept = [v.detach().numpy() for v in x]
            return torch.from_numpy(np.array(t.forward(*t.with_floats(ctx.kept))[0]))

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            found = t.gradients(dy.numpy(), ctx.kept)
            return tuple(torch.from_numpy(np.array(g)) for g in found)

    point = [torch.from_numpy(np.array(t.inputs[i])).requires_grad_() for i in t.floats()]
    return bool(torch.autograd.gradcheck(Wrapped.apply, point, raise_exception=False))


def jax_check_grads(t: CheckedPass) -> bool:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    check_grads = importlib.import_module("jax.test_util").check_grads
    start = [t.inputs[i] for i in t.floats()]
    out = jax.ShapeDtypeStruct(np.shape(t.forward(*t.inputs)[0]), np.float64)
    like = tuple(jax.ShapeDtypeStruct(v.shape, np.float64) for v in start)

    def value(*x: Any) -> Any:
        return np.asarray(t.forward(*t.with_floats(x))[0], np.float64)

    @jax.custom_vjp
    def f(*x: Any) -> Any:
        return jax.pure_callback(value, out, *x)

    f.defvjp(
        lambda *x: (f(*x), x),
        lambda x, dy: jax.pure_callback(lambda d, *v: tuple(t.gradients(d, v)), like, dy, *x),
    )
    try:
        check_grads(f, tuple(map(np.asarray, start)), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


def openmdao_check_partials(t: CheckedPass) -> bool:
    om = importlib.import_module("openmdao.api")
    assert_check = importlib.import_module("openmdao.utils.assert_utils").assert_check_partials
    places = t.floats()
    shape = np.shape(t.forward(*t.inputs)[0])
    size = int(np.prod(shape)) if shape else 1

    class Component(om.ExplicitComponent):  # type: ignore[misc,name-defined]
        def setup(self) -> None:
            for i in places:
                self.add_input(f"x{i}", val=t.inputs[i])
            self.add_output("y", shape=shape or (1,))
            self.declare_partials("*", "*")

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["y"] = t.forward(*t.with_floats([inputs[f"x{i}"] for i in places]))[0]

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            values = [inputs[f"x{i}"] for i in places]
            rows = [t.gradients(np.eye(size)[j], values) for j in range(size)]
            for k, i in enumerate(places):
                partials["y", f"x{i}"] = np.stack([row[k].ravel() for row in rows])

    problem = om.Problem(reports=False)
    problem.model.add_subsystem("c", Component())
    problem.setup()
    problem.run_model()
    data = problem.check_partials(out_stream=None)
    try:
        assert_check(data)
    except ValueError:
        return False
    return True


CHECKERS: dict[str, Callable[[CheckedPass], bool]] = {
    "minivae.verify.check": minivae_check,
    "torch.autograd.gradcheck": torch_gradcheck,
    "jax.test_util.check_grads": jax_check_grads,
    "OpenMDAO check_partials": openmdao_check_partials,
    "scipy.optimize.check_grad": scipy_check_grad,
}


def compare(say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """One row a checker: what it passed wrongly, what it alarmed on wrongly, and its seconds."""
    rows = []
    for name, checker in CHECKERS.items():
        say(f"{name} …")
        try:
            checker(trials()[0])  # imports and first compilations are not timed
        except ImportError as error:
            rows.append({"checker": name, "left_out": str(error)})
            continue
        missed, alarms, start = [], [], time.perf_counter()
        for t in trials():
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                passed = checker(t)
            if passed != t.right:
                (alarms if t.right else missed).append(t.name)
        spent = time.perf_counter() - start
        rows.append({"checker": name, "missed": missed, "alarms": alarms, "seconds": spent})
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as a Markdown table."""
    half = len(PASSES)
    heads = ("checker", f"let through, of {half} wrong", f"alarms, of {half} right", "seconds")
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|"]
    for row in rows:
        if "left_out" in row:
            lines.append(f"| {row['checker']} | not installed | | |")
            continue
        missed, alarms = (
            f"{len(v)}{': ' if v else ''}{', '.join(v)}" for v in (row["missed"], row["alarms"])
        )
        lines.append(f"| {row['checker']} | {missed} | {alarms} | {row['seconds']:.1f} |")
    return lines


MARKS = ("<!-- checkers -->", "<!-- end of checkers -->")


def marked(page: Path) -> str:
    """The page's text; raises ValueError where it lacks the two marks, OSError without a page."""
    text = page.read_text(encoding="utf-8")
    if not all(mark in text for mark in MARKS):
        raise ValueError(f"{page} has no {MARKS[0]} … {MARKS[1]}")
    return text


def write(page: Path, lines: list[str]) -> None:
    """Puts the table between the page's two marks; raises as `marked` does."""
    text = marked(page)
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    table_text = "\n".join(lines)
    page.write_text(f"{before}{MARKS[0]}\n{table_text}\n{MARKS[1]}{after}", encoding="utf-8")
