"""The PyTorch peers: eager and compiled, the optimiser fused, data in memory and no DataLoader."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..cases import ADAM_EPS, BETA1, BETA2, LR, StepCase
from . import fastest, part

ACTIVATIONS = {
    "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": F.softplus,
    "leaky_relu": F.leaky_relu, "elu": F.elu, "silu": F.silu, "gelu": F.gelu,
}  # fmt: skip


def bernoulli(out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """-log p(x | z) in nats, summed over everything; out: logits."""
    return F.binary_cross_entropy_with_logits(out, x, reduction="sum")


def gaussian(out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """-log p(x | z) in nats at variance 1, summed over everything; out: means."""
    return 0.5 * torch.sum((out - x) ** 2) + 0.5 * math.log(2 * math.pi) * x.numel()


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}


class TorchVae(torch.nn.Module):
    """The VAE as a user of PyTorch writes it: Linear layers and built-in losses."""

    def __init__(self, case: StepCase, bf16: bool = False) -> None:
        super().__init__()
        self.case, self.bf16 = case, bf16
        self.layers = torch.nn.ModuleDict(
            {n.replace(".", "_"): torch.nn.Linear(i, o) for n, i, o in case.dense_shapes()}
        )
        self.act = part(ACTIVATIONS, case.activation)
        self.nll = part(LIKELIHOODS, case.likelihood)

    def forward(self, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """Negative ELBO in nats per datum; x (B, D), eps (B, J).

        bf16: products in bfloat16 by autocast, the latent layer and the losses in float32.
        """
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            return self.loss(x, eps)

    def loss(self, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        depth, h = len(self.case.hidden), x
        for i in range(depth):
            h = self.act(self.layers[f"encoder_{i}"](h))
        mu, logvar = (self.layers[f"encoder_{head}"](h).float() for head in ("mu", "logvar"))
        h = mu + torch.exp(0.5 * logvar) * eps
        for i in range(depth):
            h = self.act(self.layers[f"decoder_{i}"](h))
        out = self.layers["decoder_out"](h).float()
        nll = self.nll(out, x)
        kl = 0.5 * torch.sum(torch.exp(logvar) + mu * mu - 1.0 - logvar)
        return (nll + kl) / x.shape[0]

    def leaf(self, name: str) -> Any:
        """The parameter with the project's name; torch keeps W as (out, in)."""
        layer, _, kind = name.rpartition(".")
        linear: Any = self.layers[layer.replace(".", "_")]
        return linear.weight if kind == "W" else linear.bias


UPDATES = 8  # of a try of each form, before the race


class TorchStep:
    """Eager. `option` is passed to torch.compile as its mode by the compiled peers.

    forms: ways to write the update, each with a word for people; the fastest takes part.
    """

    forms: tuple[str, ...] = ("Adam fused", "Adam by foreach")

    def __init__(
        self,
        option: str = "",
        threads: int | None = None,
        tf32: bool = False,
        bf16: bool = False,
    ) -> None:
        self.option, self.bf16, self.form = option, bf16, self.forms[0]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_float32_matmul_precision("high" if tf32 else "highest")  # "high" is TF32
        if threads:
            torch.set_num_threads(threads)

    def versions(self) -> dict[str, str]:
        card = self.device.type == "cuda"
        return {
            "torch": torch.__version__,
            "device": f"cuda, {torch.cuda.get_device_name()}" if card else str(self.device),
            "cuda": str(torch.version.cuda),
            "precision": "bfloat16 by autocast"
            if self.bf16
            else torch.get_float32_matmul_precision(),
            "threads": str(torch.get_num_threads()),
        }

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        """Build everything that survives a reset; compiled peers compile at their first run."""
        self.case = case
        self.data = torch.from_numpy(np.array(data)).to(self.device)
        self.model = TorchVae(case, self.bf16).to(self.device)
        self.make()
        self.reset(theta)

    def reset(self, theta: np.ndarray) -> None:
        """Back to the parameters theta with zero moments, in place so that nothing recompiles."""
        self.set_parameters(theta)
        torch.manual_seed(7)
        for state in self.opt.state.values():
            for value in state.values():
                value.zero_()

    def set_parameters(self, theta: np.ndarray) -> None:
        with torch.no_grad():
            for name, o, shape in self.case.parameters():
                part = torch.from_numpy(theta[o : o + math.prod(shape)].reshape(shape).T.copy())
                self.model.leaf(name).copy_(part)

    def make(self) -> None:
        fused = self.form != "Adam by foreach"
        self.opt = self.adam(fused=fused, foreach=not fused)
        self.update, self.loss_once = self.step_once, self.model

    def adam(self, **form: bool) -> torch.optim.Adam:
        """PyTorch's own Adam with everyone's settings, in the form asked for."""
        moments = {"betas": (BETA1, BETA2), "eps": ADAM_EPS}
        return torch.optim.Adam(self.model.parameters(), lr=LR, **moments, **form)

    def tune(self, rows: np.ndarray) -> str:
        """Try every form on some of these rows, keep the fastest, and say which it was."""
        return fastest(self.forms, self._use, lambda: self.run(rows[:UPDATES]))

    def _use(self, form: str) -> None:
        self.form = form
        self.make()

    def draw(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The minibatch (B, D) and its noise (B, J)."""
        x = self.data[rows].float() * (1 / 255)
        if self.case.binarise == "dynamic":
            x = (torch.rand_like(x) < x).float()
        return x, torch.randn(self.case.batch, self.case.latent_dim, device=self.device)

    def step_once(self, rows: torch.Tensor) -> torch.Tensor:
        loss = self.loss_once(*self.draw(rows))
        loss.backward()
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        return loss.detach()

    def run(self, rows: np.ndarray) -> float:
        """All the updates of `rows` (n, B); the mean loss is read once, at the end."""
        total = torch.zeros((), device=self.device)
        for row in torch.from_numpy(rows).to(self.device):
            total += self.update(row)
        return float(total) / len(rows)  # waits for the device

    def loss_and_grad(self, theta: np.ndarray, x: np.ndarray, eps: np.ndarray) -> Any:
        """Loss and flat gradient of the same module the timed update differentiates.

        The parameters that were timed are put back afterwards.
        """
        leaves = [self.model.leaf(name) for name, _, _ in self.case.parameters()]
        timed = [leaf.detach().clone() for leaf in leaves]
        self.set_parameters(theta)
        loss = self.model(*(torch.from_numpy(a).to(self.device) for a in (x, eps)))
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for leaf, before in zip(leaves, timed, strict=True):
                leaf.copy_(before)
        turned = [g.t().reshape(-1).cpu().numpy() for g in grads]  # a vector is as it was
        return float(loss.detach()), np.concatenate(turned)


class TorchCompiled(TorchStep):
    """The whole update as one compiled graph, or the loss alone and the fused optimiser after it.

    On CUDA the modules stay in place, so that "reduce-overhead" can replay CUDA graphs.
    """

    forms = ("gradient by torch.func, Adam written out", "loss compiled, Adam fused")

    def tune(self, rows: np.ndarray) -> str:
        """As for the eager step; on a card there is one form."""
        return "CUDA graphs" if self.device.type == "cuda" else super().tune(rows)

    def make(self) -> None:
        super().make()
        if self.device.type == "cuda":
            self.opt = self.adam(fused=True, capturable=True)
            mode = self.option or "reduce-overhead"
            self.replayed = torch.compile(self.step_once, mode=mode, dynamic=False)
            self.update = self.replay
            return
        self.names = [name for name, _ in self.model.named_parameters()]
        self.params = [p.detach() for p in self.model.parameters()]  # share the modules' storage
        self.m = [torch.zeros_like(p) for p in self.params]
        self.v = [torch.zeros_like(p) for p in self.params]
        self.t = torch.zeros(())
        mode = self.option or None
        if self.form == self.forms[1]:
            self.loss_once = torch.compile(self.model, dynamic=False, fullgraph=True, mode=mode)
            return
        self.compiled = torch.compile(self.functional, dynamic=False, fullgraph=True, mode=mode)
        self.update = self.compiled_update

    def reset(self, theta: np.ndarray) -> None:
        super().reset(theta)
        if self.device.type == "cpu":
            for buffer in (*self.m, *self.v, self.t):
                buffer.zero_()

    def replay(self, rows: torch.Tensor) -> torch.Tensor:
        """One update; what the graphs of the last one returned may be written over."""
        torch.compiler.cudagraph_mark_step_begin()
        return self.replayed(rows)

    def compiled_update(self, rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.compiled(self.params, self.m, self.v, self.t, self.data, rows)

    def loss_of(self, params: list[torch.Tensor], x: torch.Tensor, eps: torch.Tensor) -> Any:
        named = dict(zip(self.names, params, strict=True))
        return torch.func.functional_call(self.model, named, (x, eps))

    def functional(self, params: Any, ms: Any, vs: Any, t: Any, data: Any, rows: Any) -> Any:
        """One update of params, ms, vs and t in place; returns the loss."""
        case = self.case
        x = data[rows].float() * (1 / 255)
        if case.binarise == "dynamic":
            x = (torch.rand_like(x) < x).float()
        eps = torch.randn(case.batch, case.latent_dim)
        grads, loss = torch.func.grad_and_value(self.loss_of)(params, x, eps)
        t.add_(1)
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t
        for p, m, v, g in zip(params, ms, vs, grads, strict=True):
            m.mul_(BETA1).add_(g, alpha=1 - BETA1)
            v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
            p.sub_(LR * (m / c1) / ((v / c2).sqrt() + ADAM_EPS))
        return loss
