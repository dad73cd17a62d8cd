"""Who races in the step benchmark: the options of a run, the peers, and who must not take part."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minivae.racing.statistics import StopRule

#: peer -> the package that it needs
PEERS = {"jax": "jax", "torch-compile": "torch", "torch-eager": "torch"}
#: on a card, besides: eight updates unrolled in JAX's loop; PyTorch's update captured by hand
CARD_PEERS = {"jax-unrolled": "jax", "torch-graph": "torch"}


@dataclass
class StepOptions:
    """What a run is told: who races, on how many threads, and when to stop."""

    backend: str = "numba"
    peers: tuple[str, ...] | None = None  # None: all there are for the device
    threads: int | None = None
    rule: StopRule = field(default_factory=StopRule)
    cold: bool = False
    tf32: bool = False  # everyone's products, peers' included
    bf16: bool = False
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
    extra_contenders: tuple[str, ...] = ()
    again: bool = True  # ours a second time, as A against A
    busy: tuple[int, ...] = (0,)  # busy processes beside the race, one race for each number
    block_steps: int | None = None  # updates in a timed block, when not chosen by the work

    @property
    def device(self) -> str:
        return "gpu" if self.backend == "cupy" else "cpu"

    @property
    def rivals(self) -> tuple[str, ...]:
        """The peers of this run, whether installed or not."""
        return tuple(known_peers(self.device)) if self.peers is None else self.peers

    @property
    def rounded(self) -> dict[str, bool]:
        """What contenders are told of their products' inputs."""
        return {"tf32": self.tf32, "bf16": self.bf16}


def known_peers(device: str) -> dict[str, str]:
    """Every peer that can be asked for on a device."""
    return {**PEERS, **CARD_PEERS} if device == "gpu" else PEERS


def rounded_word(row: dict[str, Any]) -> str:
    """What stands beside a contender's name where its products were not float32."""
    return " TF32" if row.get("tf32") else " bfloat16" if row.get("bf16") else ""


def contenders_of(options: StepOptions) -> list[str]:
    """Ours, the peers that are installed, and the limit; what is missing is said."""
    names = [f"minivae-{options.backend}"]
    known = known_peers(options.device)
    for peer in options.rivals:
        package = known[peer.partition(":")[0]]  # a peer may carry an option: torch-compile:MODE
        if importlib.util.find_spec(package) is None:
            options.say(
                f"{peer}: left out, {package} is not installed "
                "(`pip install minivae[bench]` brings the peers)"
            )
        else:
            names.append(peer)
    again = [f"{names[0]}:again"] if options.again else []
    if options.bf16:  # the multiply-adds of the limit are float32; our own float32 step instead
        return [*names, *again, *options.extra_contenders, f"{names[0]}:float32"]
    limit = "fma-peak" if options.device == "cpu" else "cublas-peak"
    return [*names, *again, *options.extra_contenders, limit]


def caches(cold: bool, folder: Path) -> dict[str, str]:
    """Where compiled code is kept: the user's own caches, or ones made empty for each call."""
    if not cold:
        return {}
    fresh = Path(tempfile.mkdtemp(prefix="cold-", dir=folder))
    names = {"NUMBA_CACHE_DIR": "numba", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
    names |= {"CUPY_CACHE_DIR": "cupy", "TRITON_CACHE_DIR": "triton"}
    names["XDG_CACHE_HOME"] = "cache"  # where minivae keeps its compiled kernels
    return {key: str(fresh / name) for key, name in names.items()}


def on_wrong_device(device: str, versions: dict[str, str]) -> str:
    """Why a contender must not race: it would run elsewhere than the others, or ''."""
    found = versions.get("device", "")
    if device == "gpu" and found and "cuda" not in found.lower():
        return f"runs on {found}, not on the card: install its CUDA build"
    return ""
