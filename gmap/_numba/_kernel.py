"""How the kernels of this package are compiled. Floor 4."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

from numpy.typing import NDArray

__all__ = ["Word", "Words", "kernel"]

# As Any: its types differ from version to version.
numba: Any = import_module("numba")

#: A uint64, the only type the kernels compute with: Numba makes a float64 of a sum of signed and
#: unsigned integers. (A type checker sees ints there, where compiled code has none.)
Word: TypeAlias = Any
#: An array of them.
Words: TypeAlias = NDArray[Any]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called; it lets other threads run.

    Kernels are inlined into each other, and may not make arrays: Numba would then count the
    references of every array that is passed on, which takes longer than the models do. Nothing
    is kept on disk: a cache there does not notice a change in another file.

    >>> kernel(lambda x: x + 1)(2)
    3
    """
    options = {"nogil": True, "error_model": "numpy", "forceinline": True, "_nrt": False}
    compiled: F = numba.njit(**options)(function)
    return compiled
