"""How many of a multiprocessor's warps a kernel can keep at work, from what the compiler reports.

The limits are those of the CUDA C++ Programming Guide, "Technical Specifications per Compute
Capability", and of the occupancy calculator: registers are given to a warp by 256, and from 8.0 on
each block takes 1 KiB of shared memory for the system.
"""

from __future__ import annotations

from typing import NamedTuple

LANES, REGISTERS_AT_A_TIME = 32, 256


class Multiprocessor(NamedTuple):
    """What its resident blocks share."""

    warps: int
    blocks: int
    shared: int  # bytes
    reserved: int  # bytes of it that each block takes for the system
    at_a_time: int  # bytes in which shared memory is given out
    registers: int = 65536


KIB = 1024
MULTIPROCESSORS = {
    "sm_70": Multiprocessor(64, 32, 96 * KIB, 0, 256),
    "sm_75": Multiprocessor(32, 16, 64 * KIB, 0, 256),
    "sm_80": Multiprocessor(64, 32, 164 * KIB, KIB, 128),
    "sm_86": Multiprocessor(48, 16, 100 * KIB, KIB, 128),
    "sm_89": Multiprocessor(48, 24, 100 * KIB, KIB, 128),
    "sm_90": Multiprocessor(64, 32, 228 * KIB, KIB, 128),
    "sm_100": Multiprocessor(64, 32, 228 * KIB, KIB, 128),
}


class Occupancy(NamedTuple):
    """Blocks that fit at once, the share of the warps that is, and what there is too little of."""

    blocks: int
    share: float
    bound: str


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def occupancy(arch: str, registers: int, shared: int, threads: int) -> Occupancy:
    """What fits on one multiprocessor: registers a thread, shared bytes a block.

    Raises KeyError for an architecture whose limits are not in the table.
    """
    room, warps = MULTIPROCESSORS[arch], -(-threads // LANES)
    of_warp = _up(max(registers, 1) * LANES, REGISTERS_AT_A_TIME)
    of_block = _up(shared + room.reserved, room.at_a_time)
    limits = {
        "warps": room.warps // warps,
        "blocks": room.blocks,
        "registers": room.registers // of_warp // warps,
        "shared memory": room.shared // of_block if of_block else room.blocks,
    }
    bound = min(limits, key=lambda name: limits[name])
    return Occupancy(limits[bound], limits[bound] * warps / room.warps, bound)
