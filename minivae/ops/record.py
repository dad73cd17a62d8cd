"""What a record of an op says, and how records of one kind are made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minivae.types import Array

# How a kernel's output is compared with the reference's: bit for bit; in units of the last place;
# or against float32's own error, where sums and products round in some order.
EXACT, ELEMENTWISE, PRODUCT, REDUCTION = "exact", "elementwise", "product", "reduction"

# Arithmetic instructions an element of straight-line code: one for each multiply-add, comparison
# and selection, shift or division.
EXP, LOG1P, TANH = 16, 22, 14  # tanh: six multiply-adds after the choice of an interval
SIGMOID, SOFTPLUS = EXP + 5, EXP + LOG1P + 3
PHILOX_WORD = 25  # ten rounds of two wide multiplies and four xors, for four words
NORMAL = PHILOX_WORD + 30  # half a logarithm, half a square root, a sine or a cosine


class Bounds(NamedTuple):
    """What a setting may be: at least `least`, and below `below`."""

    least: float = 0.0
    below: float = math.inf


class Arg(NamedTuple):
    """One argument: its shape in words ("L B D"; "" is a scalar) and what values it takes.

    The letters are the models' (B data, D numbers each, H hidden units, J latent dimensions, L
    draws), I and O the sides of a dense layer, N rows of a data set, P parameters.
    values: "normal", "weights" (normal, over the root of the inputs), "positive", "unit" (inside 0
    and 1), "count", "covariance", "shares" and "groups" (columns that sum to 1, and the groups'
    sizes), "rows", "bytes", "words", "size" (the letter's own), or "number": `scale` itself.
    `scale` multiplies normal numbers, and is the mean of counts.
    """

    shape: str
    values: str = "normal"
    scale: float = 1.0


class Backward(NamedTuple):
    """A backward function and the names of the arguments whose gradients it returns, in order."""

    function: Callable[..., Any]
    gives: str
    kind: str
    cost: float = 0.0

    @property
    def arguments(self) -> tuple[str, ...]:
        """Its arguments by name: the upstream gradients, then what it takes of forward's."""
        return tuple(inspect.signature(self.function).parameters)


@dataclass(frozen=True)
class Op:
    """An op: its forward function, its arguments, its outputs, its backward functions.

    gives: the outputs' shapes by name. kind: how a kernel of it is judged. cost: instructions for
    each element of the largest array, multiply-adds for each term of a product.
    part: "activation" or "optimiser" where a model may be made of it, `words` then says what it
    is. in_place: arguments it changes. largest_terms: for each output the largest term of
    every entry's sum, where terms nearly cancel and set the size of a rounding. why: the reason
    where it has no gradient. both: it returns a loss and its gradients at once. place: where in
    the model it stands, for messages, if it belongs to no layer.
    """

    forward: Callable[..., Any]
    args: Mapping[str, Arg]
    gives: Mapping[str, str]
    kind: str
    backward: tuple[Backward, ...] = ()
    cost: float = 0.0
    part: str = ""
    words: str = ""
    in_place: tuple[str, ...] = ()
    largest_terms: tuple[Callable[..., Array], ...] = ()
    why: str = ""
    both: bool = False
    place: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)  # an optimiser's, with defaults
    bounds: Mapping[str, Bounds] = field(default_factory=dict)  # of those that have narrower ones

    @property
    def name(self) -> str:
        """The name of the pair, "kl" for `kl_forward` and `kl_backward`."""
        for ending in ("_forward", "_update"):
            if self.forward.__name__.endswith(ending):
                return self.forward.__name__.removesuffix(ending)
        return self.forward.__name__

    @property
    def variables(self) -> tuple[str, ...]:
        """The arguments that have a gradient, in forward's order."""
        if self.both:  # the upstream first, then the loss's own arguments; d… is its gradient
            return tuple(name for name in self.args if f"d{name}" in self.gives)
        given = {name for back in self.backward for name in back.gives.split()}
        if any(not back.gives for back in self.backward):  # up to the activation: all of dense's
            given |= set(self.args)
        return tuple(name for name in self.args if name in given)


class Function(NamedTuple):
    """One function of the table, forward or backward, as backends and checks see it."""

    name: str
    function: Callable[..., Any]
    op: Op
    backward: Backward | None
    kind: str
    cost: float
    args: Mapping[str, Arg]
    outputs: tuple[str, ...]  # arguments of a backward function that are the forward's outputs
    in_place: tuple[str, ...]


def activation_op(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    words: str,
    *,
    kind: str = ELEMENTWISE,
    backward_kind: str = "",
    cost: tuple[float, float] = (1, 1),
    **more: Any,
) -> Op:
    """The record of y = f(x) of every number by itself, with backward(dy, x).

    backward_kind: REDUCTION where the derivative crosses zero, so that last places mean nothing.
    """
    back = Backward(backward, "x", backward_kind or kind, cost[1])
    args, gives = {"x": Arg("B H", scale=4.0)}, {"y": "B H"}
    return Op(forward, args, gives, kind, (back,), cost[0], "activation", words, **more)


def optimiser_op(
    update: Callable[..., Any],
    words: str,
    cost: float,
    settings: Mapping[str, float],
    bounds: Mapping[str, Bounds],
) -> Op:
    """The record of an update of theta in place: (theta, grad, moments …, lr, settings …, t)."""
    names = list(inspect.signature(update).parameters)
    moments = names[2 : names.index("lr")]
    args = {"theta": Arg("P"), "grad": Arg("P")}
    args |= {name: Arg("P", "positive", 0.1) for name in moments}
    args |= {"lr": Arg("", "number", 1e-3)}
    args |= {name: Arg("", "number", value) for name, value in settings.items()}
    args |= {"t": Arg("", "number", 7)} if "t" in names else {}
    return Op(
        update, args, {}, REDUCTION, cost=cost, part="optimiser", words=words,
        in_place=("theta", *moments), settings=dict(settings), bounds=dict(bounds),
        why="changes the parameters in place; held to its formula by its own test",
    )  # fmt: skip


def random_op(
    function: Callable[..., Any], args: Mapping[str, Arg], gives: str, cost: float, place: str = ""
) -> Op:
    """The record of a function whose bits are promised."""
    why = "held bit for bit"
    return Op(function, args, {"y": gives}, EXACT, cost=cost, why=why, place=place)


def dense_op(
    forward: Callable[..., Any], *backward: Backward, cost: float = 1.0, **more: Any
) -> Op:
    """The record of y = x W + b, alone or fused with what follows."""
    args = {"x": Arg("B I"), "W": Arg("I O", "weights"), "b": Arg("O")}
    return Op(forward, args, {"y": "B O"}, PRODUCT, tuple(backward), cost)
