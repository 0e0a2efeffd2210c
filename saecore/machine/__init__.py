"""A machine around a vCPU: memory, a program, a device tree, a console. Floor 10.

::

    read_program -> Program -> Machine.load -> Machine.run -> Outcome
                                  |                |
                              build_tree          Bus -> Pl011, Pl031, devices of your own
"""

from saecore.machine._bus import Bus, Device
from saecore.machine._machine import MEMORY, Machine, Outcome
from saecore.machine._pl011 import Pl011
from saecore.machine._pl031 import Pl031
from saecore.machine._registers import PrimeCell
from saecore.machine.devicetree import Extent, build_tree
from saecore.machine.errors import MachineError, ProgramError
from saecore.machine.program import Program, Segment, read_program

__all__ = [
    "MEMORY",
    "Bus",
    "Device",
    "Extent",
    "Machine",
    "MachineError",
    "Outcome",
    "Pl011",
    "Pl031",
    "PrimeCell",
    "Program",
    "ProgramError",
    "Segment",
    "build_tree",
    "read_program",
]
