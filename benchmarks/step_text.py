"""The step benchmark's rows for people."""

from __future__ import annotations

from typing import Any

from minivae.racing.result import ratio

from .entrants import rounded_word


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people: one line a contender, the verdict under ours."""
    lines = []
    for row in rows:
        title = f"{row['arch']:>24} B={row['batch']:<5} {row['contender']:14}"
        title += rounded_word(row)
        title += f" beside {row['busy']} busy" if row.get("busy") else ""
        if "failed" in row:
            lines.append(f"{title} FAILED: {row['failed']}")
            continue
        if "skipped" in row:
            lines.append(f"{title} skipped: {row['skipped']}")
            continue
        ms = row["ms"]
        spread = "  ".join(f"{q} {value:9.4f}" for q, value in ms.items()) + " ms"
        share = f"{row['peak_share']:5.0%} of peak" if "peak_share" in row else ""
        rate = f"n={row['n']:<3} {row['gflops']:5.0f} GFLOP/s {share}"
        if row["contender"].endswith("-peak"):
            lines.append(f"{title} {spread}  {rate}  the limit")
            continue
        loss = f"loss {row['loss_first']:.2f} → {row['loss_last']:.2f}"
        first = f"first run (compiles) {row['first_run_s']:.2f} s, cache {row['cache']}"
        first += f"; form: {row['form']}" if row.get("form") else ""
        lines += [f"{title} {spread}  {rate}  {loss}", f"{'':>46} {first}"]
        if "scaling" in row:
            lines.append(f"{'':>46} {row['scaling']['ratio']:.2f} × one thread")
        if row.get("a_a"):
            lines.append(f"{'':>46} A against A: {ratio(row['a_a'])}")
        if row.get("float32"):
            lines.append(f"{'':>46} {ratio(row['float32'])} against our own float32 step")
        if "verdict" in row:
            lines.append(
                f"{'':>46} {ratio(row)} against {row['fastest_peer']}; stop: {row['stop']}"
            )
    busy = sorted({r["load"]["busy"] for r in rows if r.get("load", {}).get("busy")})
    lines += [f"BUSY MACHINE: {busy[0]}; do not trust these figures"] if busy else []
    return "\n".join(lines)
