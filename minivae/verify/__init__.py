"""Proof that a hand-written backward pass matches its forward, or the name of the entry that
does not."""

from minivae.verify.check import check
from minivae.verify.report import Fault, GradientError, Report, Row

__all__ = ["Fault", "GradientError", "Report", "Row", "check"]
