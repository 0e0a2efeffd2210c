"""The device tree of a machine. Floor 10.

Source: the Devicetree specification 0.4; the kernel's bindings arm/cpus, arm/psci, arm,sbsa-uart,
arm,pl031.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from saecore.machine._bus import Device

__all__ = ["Extent", "build_tree"]

Value: TypeAlias = str | int | list[str] | list[int]

_CLOCK_PHANDLE: Final = 1
_CLOCK_HZ: Final = 24_000_000
_UART_BAUD: Final = 115_200


class Extent(NamedTuple):
    """Some guest memory: where, and how many bytes."""

    start: int
    nbytes: int


def build_tree(
    memory: Sequence[Extent],
    devices: Sequence[tuple[int, "Device"]],
    *,
    bootargs: str = "",
    initrd: Extent | None = None,
    cpus: int = 1,
) -> bytes:
    """Return a flattened device tree.

    It has the processors (by PSCI, whose calls are HVCs), the memory, the console and the clock.
    There is no interrupt controller and no timer node yet: the interrupts they need are not
    modelled.

    Parameters
    ----------
    memory : sequence of Extent
    devices : sequence of (int, Device)
        As `Bus.devices` returns them; those without a binding are left out.
    bootargs : str
        The kernel's command line.
    initrd : Extent, optional
    cpus : int

    >>> blob = build_tree([Extent(0x4000_0000, 64 << 20)], [], bootargs="quiet")
    >>> blob[:4].hex(), b"quiet" in blob
    ('d00dfeed', True)
    """
    import fdt  # type: ignore[import-untyped]

    tree = fdt.FDT()

    def node(parent: Any, name: str, properties: Mapping[str, Value]) -> Any:
        made = fdt.Node(name)
        _add(made, properties)
        parent.append(made)
        return made

    _add(tree.root, {
        "#address-cells": 2, "#size-cells": 2, "model": "gmap-sae",
        "compatible": "linux,dummy-virt",
    })  # fmt: skip
    chosen = node(tree.root, "chosen", {})
    if bootargs:
        _add(chosen, {"bootargs": bootargs})
    if initrd is not None:
        _add(chosen, {
            "linux,initrd-start": _cells(initrd.start),
            "linux,initrd-end": _cells(initrd.start + initrd.nbytes),
        })  # fmt: skip
    for area in memory:
        reg = _cells(area.start, area.nbytes)
        node(tree.root, f"memory@{area.start:x}", {"device_type": "memory", "reg": reg})
    psci = ["arm,psci-1.0", "arm,psci-0.2"]
    node(tree.root, "psci", {"compatible": psci, "method": "hvc"})
    holder = node(tree.root, "cpus", {"#address-cells": 1, "#size-cells": 0})
    for cpu in range(cpus):
        node(holder, f"cpu@{cpu:x}", {
            "device_type": "cpu", "compatible": "arm,armv8", "reg": cpu, "enable-method": "psci",
        })  # fmt: skip
    node(tree.root, "apb-pclk", {
        "compatible": "fixed-clock", "#clock-cells": 0, "clock-frequency": _CLOCK_HZ,
        "phandle": _CLOCK_PHANDLE,
    })  # fmt: skip
    for address, device in devices:
        reg = _cells(address, device.nbytes)
        if device.name == "uart":
            name = f"pl011@{address:x}"
            node(tree.root, name, {
                "compatible": "arm,sbsa-uart", "reg": reg, "current-speed": _UART_BAUD,
            })  # fmt: skip
            _add(chosen, {"stdout-path": f"/{name}"})
        elif device.name == "rtc":
            node(tree.root, f"pl031@{address:x}", {
                "compatible": ["arm,pl031", "arm,primecell"], "reg": reg,
                "clocks": _CLOCK_PHANDLE, "clock-names": "apb_pclk",
            })  # fmt: skip
    blob: bytes = tree.to_dtb(version=17, last_comp_version=16)
    return blob


def _add(node: Any, properties: Mapping[str, Value]) -> None:
    """Give a node properties: a text, several texts, or cells."""
    import fdt

    for name, value in properties.items():
        values = value if isinstance(value, list) else [value]
        texts = isinstance(values[0], str)
        node.append((fdt.PropStrings if texts else fdt.PropWords)(name, *values))


def _cells(*values: int) -> list[int]:
    """Numbers of 64 bits as the cells of 32 bits a property has."""
    return [half for value in values for half in (value >> 32, value & 0xFFFFFFFF)]
