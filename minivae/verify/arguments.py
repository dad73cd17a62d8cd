"""How `check` reads what it is handed: the arguments of a forward pass, and which to look at."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minivae.verify.evaluate import Pass, argument_names


def keyword_names(forward: Callable[..., Any], inputs: Any) -> list[str] | None:
    """The keys of a dict of inputs that forward takes by keyword only; None elsewhere."""
    if not isinstance(inputs, dict):
        return None
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return None
    only = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return list(inputs) if (anything or set(inputs) & only) else None


def by_keyword(forward: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
    """forward(*values), for a forward that wants its dict of inputs by keyword."""
    keys = keyword_names(forward, inputs)
    if keys is None:
        return forward
    return lambda *values: forward(**dict(zip(keys, values, strict=True)))


def arguments(
    forward: Callable[..., Any], inputs: Any, names: Sequence[str] | None
) -> tuple[tuple[Any, ...], list[str]]:
    """The positional arguments and their names."""
    if isinstance(inputs, dict):
        try:
            known = list(inspect.signature(forward).parameters)
        except (TypeError, ValueError):
            known = []
        if names is not None and list(names) == list(inputs):
            args: tuple[Any, ...] = tuple(inputs.values())
        elif set(inputs) <= set(known) and list(inputs) == known[: len(inputs)]:
            args = tuple(inputs.values())
        elif set(inputs) <= set(known):
            order = [k for k in known if k in inputs]
            args = tuple(inputs[k] for k in order)
        else:
            args = (inputs,)
    elif isinstance(inputs, (list, tuple)) and not hasattr(inputs, "_fields"):
        args = tuple(inputs)
    else:
        args = (inputs,)
    labels = list(names) if names is not None else argument_names(forward, len(args))
    if len(labels) != len(args):
        raise ValueError(f"names has {len(labels)} entries for {len(args)} inputs")
    return args, labels


def select(job: Pass, wrt: Sequence[str] | None) -> None:
    """Keep the leaves named in `wrt`, by argument or by full address."""
    if wrt is None:
        return
    wanted = [wrt] if isinstance(wrt, str) else list(wrt)
    known = {leaf.name for leaf in job.leaves} | {job.names[leaf.arg] for leaf in job.leaves}
    for item in wanted:
        if item not in known:
            raise ValueError(
                f"wrt names {item!r}, which is no float input; there are {sorted(known)}"
            )
    job.leaves = [x for x in job.leaves if x.name in wanted or job.names[x.arg] in wanted]
