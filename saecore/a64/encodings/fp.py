"""Scalar floating point.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from saecore.a64.encodings._row import Encoding

ENCODINGS: list[Encoding] = []

OPS: list[str] = []
