"""Bugs of the kind people really make, each with the op it sits in: caught, and rightly named?"""

# ruff: noqa: E501
from __future__ import annotations

import importlib
import inspect
import textwrap
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.proof import meaning
from minivae.proof.case import Case
from minivae.proof.cases import find
from minivae.proof.exact_gradients import ExactGradients
from minivae.proof.first_wrong_op import WatchedOps, first_wrong
from minivae.proof.mutate import annotations_flag
from minivae.proof.mutation_score import WrongAlready, exact_row, planted
from minivae.types.foreign import quiet
from minivae.verify.contract import backward_faults
from minivae.verify.strategies import gradients


class Edit(NamedTuple):
    """In the function at `place`, `old` becomes `new`."""

    place: str
    old: str
    new: str


class Bug(NamedTuple):
    """A curated bug: what people do wrong, where, and the name that has to come out."""

    name: str
    label: str
    edits: tuple[Edit, ...]


def bug(name: str, place: str, old: str, new: str, *alike: str) -> Bug:
    """A bug in one place, or in two alike: `alike` is then the other's place, old and new text."""
    edits = (Edit(place, old, new), Edit(*alike)) if alike else (Edit(place, old, new),)
    return Bug(name, place.rsplit(".", 1)[1], edits)


ELBO = "models.vae.elbo_backward"
OBJECTIVE = "parts.objectives.elbo_objective_backward"
BUGS: tuple[Bug, ...] = (
    bug("bias gradient averaged over the batch", "ops.dense_backward_params", "dy.sum(axis=0)", "dy.mean(axis=0)"),
    bug("bias gradient of the first sample only", "ops.dense_backward_params", "dy.sum(axis=0)", "1 * dy[0]"),
    bug("weight gradient divided by the batch", "ops.dense_backward_params", "x.T @ dy", "x.T @ dy / len(dy)"),
    bug("weight gradient overwritten by the last sample", "ops.dense_backward_params", "x.T @ dy", "x[-1][:, None] * dy[-1]"),
    bug("weight gradient transposed", "ops.dense_backward_params", "x.T @ dy", "dy.T @ x"),
    bug("upstream taken as one", "ops.dense_backward_params", "x.T @ dy", "x.T @ np.ones_like(dy)"),
    bug("weights not transposed", "ops.dense_backward_input", "W.T", "W"),
    bug("weights sorted on the way", "ops.dense_backward_input", "W.T", "W[:, ::-1].T"),
    bug("mask turned round", "ops.relu_backward", "<= 0", "> 0"),
    bug("no mask", "ops.relu_backward", "np.where(x.real <= 0, 0, dy)", "1 * dy"),
    bug("mask taken from the upstream", "ops.relu_backward", "x.real <= 0", "dy <= 0"),
    bug("mask applied to the upstream in place", "ops.relu_backward", "np.where(x.real <= 0, 0, dy)", "np.multiply(dy, x > 0, out=dy)"),
    bug("1 - x**2 with the input", "ops.tanh_backward", "dy * (4 * t / ((1 + t) * (1 + t)))", "dy * (1 - x * x)"),
    bug("1 + tanh**2", "ops.tanh_backward", "dy * (4 * t / ((1 + t) * (1 + t)))", "dy * (1 + np.tanh(x) ** 2)"),
    bug("s without 1 - s", "ops.sigmoid_backward", "((1 + t) * (1 + t))", "(1 + t)"),
    bug("s(-x) for s(x)", "ops.softplus_backward", "sigmoid_forward(x)", "sigmoid_forward(-x)"),
    bug("gradient passes outside the bound", "ops.bound_logvar_backward", "np.where(outside, 0, dbounded)", "1 * dbounded"),
    bug("the upstream itself returned", "ops.bound_logvar_backward", "np.where(outside, 0, dbounded)", "dbounded"),
    bug("eps drawn again", "ops.reparameterise_backward", "(dz * eps)", "(dz * np.random.standard_normal(dz.shape))"),
    bug("one half forgotten", "ops.reparameterise_backward", "(0.5 * np.exp(", "(1.0 * np.exp("),
    bug("variance for standard deviation in backward", "ops.reparameterise_backward", "np.exp(0.5 * logvar)", "np.exp(logvar)"),
    bug("eps forgotten", "ops.reparameterise_backward", "(dz * eps)", "dz"),
    bug("only the first draw counts", "ops.reparameterise_backward", "dz.sum(axis=0)", "1 * dz[0]"),
    bug("mean over draws for sum", "ops.reparameterise_backward", "dz.sum(axis=0)", "dz.mean(axis=0)"),
    bug("variance for standard deviation in forward", "ops.reparameterise_forward", "np.exp(0.5 * logvar)", "np.exp(logvar)"),
    bug("sign of the mean's pull", "ops.kl_backward", "dkl * mu", "-dkl * mu"),
    bug("one half forgotten", "ops.kl_backward", "(0.5 * np.expm1(logvar))", "np.expm1(logvar)"),
    bug("the -1 forgotten", "ops.kl_backward", "np.expm1(logvar)", "np.exp(logvar)"),
    bug("upstream ignored", "ops.kl_backward", "dkl * mu", "1 * mu"),
    bug("mean and log-variance swapped", "ops.kl_backward", "return dkl * mu, dkl * (0.5 * np.expm1(logvar))", "return dkl * (0.5 * np.expm1(logvar)), dkl * mu"),
    bug("a constant off: the -1 forgotten", "ops.kl_forward", "_exp_remainder(logvar)", "1 + _exp_remainder(logvar)"),
    bug("free bits pass everything", "ops.free_bits_backward", "np.where(kl_mean.real < floor, 0, dout)", "1 * dout"),
    bug("free bits turned round", "ops.free_bits_backward", "kl_mean.real < floor", "kl_mean.real > floor"),
    bug("sign of the residual", "ops.bernoulli_nll_backward", "(sigmoid_forward(logits) - x)", "(x - sigmoid_forward(logits))"),
    bug("upstream ignored", "ops.bernoulli_nll_backward", "dnll[..., None] *", "1.0 *"),
    bug("rounded to float32", "ops.bernoulli_nll_backward", "(sigmoid_forward(logits) - x)", "(sigmoid_forward(logits) - x).astype(np.float32)"),
    bug("averaged over the pixels", "ops.bernoulli_nll_backward", "(sigmoid_forward(logits) - x)", "(sigmoid_forward(logits) - x) / x.shape[-1]"),
    bug("logits for probabilities", "ops.bernoulli_nll_backward", "sigmoid_forward(logits)", "logits"),
    bug("variance forgotten", "ops.gaussian_nll_backward", "(precision * r)", "r"),
    bug("factor 2 of the square kept", "ops.gaussian_nll_backward", "(precision * r)", "(2 * precision * r)"),
    bug("log c's own term forgotten", "ops.gaussian_nll_backward", "x.shape[-1] - precision", "-precision"),
    bug("only the first draw counts for log c", "ops.gaussian_nll_backward", "(dnll * (0.5 * (x.shape[-1] - precision * (r * r).sum(axis=-1)))).sum()", "(dnll * (0.5 * (x.shape[-1] - precision * (r * r).sum(axis=-1))))[0].sum()"),
    bug("log c forgotten in the loss", "ops.gaussian_nll_forward", "(LOG_2PI + logc)", "LOG_2PI"),
    bug("mask that lets all through", "ops.dense_relu_backward", "<= 0", "< 0"),
    bug("one factor of (1 - y)(1 + y)", "ops.dense_tanh_backward", "((1 - y) * (1 + y))", "(1 - y)"),
    bug("overwritten where it must be added", "ops.latent_backward", "dmu_z + dmu_kl", "1 * dmu_kl"),
    bug("one half forgotten", "ops.gaussian_kl_backward", "dcov0 = dkl * 0.5", "dcov0 = dkl"),
    bug("means swapped", "ops.gaussian_kl_backward", "return -dmu1, dcov0, dmu1, dcov1", "return dmu1, dcov0, -dmu1, dcov1"),
    bug("variance for standard deviation, forward and backward alike", "ops.reparameterise_forward", "np.exp(0.5 * logvar)", "np.exp(logvar)", "ops.reparameterise_backward", "(0.5 * np.exp(0.5 * logvar))", "np.exp(logvar)"),
    bug("one half forgotten, forward and backward alike", "ops.kl_forward", "return 0.5 *", "return 1.0 *", "ops.kl_backward", "return dkl * mu, dkl * (0.5 * np.expm1(logvar))", "return 2 * dkl * mu, dkl * np.expm1(logvar)"),
    bug("1/B forgotten", OBJECTIVE, "dloss / (L * B)", "dloss / L"),
    bug("1/L forgotten", OBJECTIVE, "dloss / (L * B)", "dloss / B"),
    bug("beta forgotten", OBJECTIVE, "dloss * beta", "dloss"),
    bug("the heads overwrite each other", ELBO, 'dh = dh + K.dense_backward_input(dlogvar, p["encoder.logvar.W"])', 'dh = K.dense_backward_input(dlogvar, p["encoder.logvar.W"])'),
    bug("the KL's path to mu forgotten", ELBO, "dmu_z + dmu_kl", "1 * dmu_z"),
    bug("the bound forgotten", ELBO, "K.bound_logvar_backward(dlogvar_z + dlogvar_kl, raw_logvar)", "dlogvar_z + dlogvar_kl"),
    bug("the sample for the mean", OBJECTIVE, "K.kl_backward(dkl, terms.mu, terms.logvar)", "K.kl_backward(dkl, terms.z[0], terms.logvar)"),
    bug("free bits forgotten", OBJECTIVE, "np.broadcast_to(dkl_mean / B, terms.kl.shape)", "np.broadcast_to(dloss * beta / B, terms.kl.shape)"),
    bug("KL mean for sum", OBJECTIVE, "dkl_mean / B", "dkl_mean / (B * J)"),
    bug("the wrong layer's input", "layers.mlp_backward", "linear_backward(K, g, f\"{name}.{i}\", da, x)", "linear_backward(K, g, f\"{name}.{i}\", da, 0.5 * x)"),
    bug("activation skipped on the way back", "layers.mlp_backward", "da = activate_backward(K, kind, dh, a)", "da = dh"),
    bug("added where it must be set", "layers.linear_backward", "K.dense_backward_params(dy, x)", "(2 * d for d in K.dense_backward_params(dy, x))"),
    bug("factor 2 of the square forgotten", "models.autoencoder.autoencoder_backward", "dloss * 2 / len(x)", "dloss / len(x)"),
    bug("spread term forgotten", "models.linear_vae.linear_vae_backward", "dlogvar.sum(axis=0) + half * variance * norms", "dlogvar.sum(axis=0)"),
    bug("beta forgotten", "models.inference.inference_backward", "dloss * config.beta / B", "dloss / B"),
)  # fmt: skip


class Attribution(NamedTuple):
    """What the checks said about one bug."""

    bug: Bug
    named: str  # the op it was attributed to; '' if nothing was found
    how: str

    @property
    def right(self) -> bool:
        return self.named == self.bug.label


class Board(NamedTuple):
    """The corpus's scoreboard; seconds are of processor time."""

    seconds: float
    results: list[Attribution]

    @property
    def caught(self) -> int:
        return sum(bool(c.named) for c in self.results)

    @property
    def attributed(self) -> float:
        return sum(c.right for c in self.results) / len(self.results)


def edited(edit: Edit) -> Callable[..., Any]:
    """The function with the edit made; ValueError if its source no longer holds the text."""
    module_name, name = edit.place.rsplit(".", 1)
    original = getattr(importlib.import_module(f"minivae.{module_name}"), name)
    source = textwrap.dedent(inspect.getsource(original))
    if edit.old not in source:
        raise ValueError(f"{edit.place} no longer holds {edit.old!r}: renew the corpus")
    space = {**original.__globals__, "np": np}
    code = compile(
        source.replace(edit.old, edit.new), f"<bug in {name}>", "exec", flags=annotations_flag()
    )
    exec(code, space)
    result: Callable[..., Any] = space[name]
    return result


def attribute(exact_rows: list[ExactGradients]) -> tuple[str, str]:
    """(op, how it was found) for whatever is wrong now: ops first, then layers, models, meaning."""
    for exact in exact_rows:
        case = exact.case
        found = exact.wrong() or misbehaves(exact)
        if not found:
            continue
        if case.kind != "op":
            name = next(n for n in case.covers if n.endswith("_backward"))
            return name, f"row {case.name}: {found}"
        if found == "y":
            return case.covers[0], f"row {case.name}: the forward's value"
        watched = WatchedOps(ops)
        with suppress(Exception):  # the call that raised comes after the last that returned
            gradients(exact.bind(watched), exact.dy)
        call = first_wrong([c for c in watched.calls if not c.op.endswith("_forward")])
        return call.op if call else remaining(case, watched), f"row {case.name}: {found}"
    for result in meaning.checks(ops):
        if not result.ok:
            return result.op, f"meaning: {result.name}"
    return "", ""


def remaining(case: Case, watched: WatchedOps) -> str:
    """The backward op of a row that did not get as far as returning; the row's own otherwise."""
    done = {call.op for call in watched.calls}
    missing = [n for n in case.covers if not n.endswith("_forward") and n not in done]
    own = [n for n in case.covers if not n.endswith("_forward")]
    return (missing or own or list(case.covers))[0]


def misbehaves(exact: ExactGradients) -> str:
    """What is wrong beside the numbers: changed inputs, views, wrong dtypes."""
    job = exact.bind(ops)
    try:
        _, _, faults, notes = backward_faults(job, exact.dy)
    except Exception as error:
        return f"raises {type(error).__name__}"
    return faults[0].kind if faults else "view" if notes else ""


def run_corpus() -> Board:
    """Plant each bug in turn and ask what is wrong.

    Raises WrongAlready where something is before any is planted.
    """
    start = time.process_time()
    results = []
    with quiet():
        order = {"op": 0, "layer": 1, "model": 2}  # the bugs are ours, and others' parts stay out
        rows = sorted((c for c in find() if c.kind in order), key=lambda c: order[c.kind])
        exact_rows = [exact_row(case) for case in rows]
        named, how = attribute(exact_rows)
        if named:
            raise WrongAlready(named, how)
        for item in BUGS:
            with ExitStack() as stack:
                for edit in item.edits:
                    stack.enter_context(planted(edit.place, edited(edit)))
                results.append(Attribution(item, *attribute(exact_rows)))
    return Board(time.process_time() - start, results)
