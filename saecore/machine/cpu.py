"""CPU models by name, as a command line gives them. Floor 10."""

from gmap.errors import ConfigError
from saecore._cpu import CpuModel, cpu_model

__all__ = ["parse_cpu"]


def parse_cpu(text: str) -> CpuModel:
    """Return the CPU model of ``MODEL``, or of ``MODEL,+FEATURE,-FEATURE``, in either case.

    Raises
    ------
    ConfigError
        There is no such model or feature; the message lists them.

    >>> "LSE" in parse_cpu("default,-lse").features
    False
    """
    name, *changes = text.split(",")
    for change in changes:
        if change[:1] not in ("+", "-"):
            raise ConfigError(f"--cpu {text}: write +{change} or -{change}")
    with_ = [change[1:].upper() for change in changes if change[0] == "+"]
    without = [change[1:].upper() for change in changes if change[0] == "-"]
    try:
        return cpu_model(name, with_=with_, without=without)
    except ValueError as error:
        raise ConfigError(f"--cpu {text}: {error}") from None
