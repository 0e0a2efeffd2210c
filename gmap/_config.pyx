"""How this build was made. Floor 0."""

import pathlib
import platform
import sys
from importlib import metadata

import numpy as np

cdef extern from *:
    """
    #ifdef GMAP_DEBUG
    #define GMAP_IS_DEBUG 1
    #else
    #define GMAP_IS_DEBUG 0
    #endif
    #if defined(__VERSION__)
    #define GMAP_COMPILER __VERSION__
    #else
    #define GMAP_COMPILER "unknown"
    #endif
    """
    const char *GMAP_BUILD_FLAGS
    const char *GMAP_COMPILER
    bint GMAP_IS_DEBUG


def show_config(mode="stdout"):
    """How this build was made: versions, compiler and its flags.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dict.

    >>> show_config(mode="dicts")["debug"] in (True, False)
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode={mode!r}: use 'stdout' or 'dicts'")
    flags = GMAP_BUILD_FLAGS.decode()
    config = {
        "gmap": metadata.version("gmap"),
        "compiler": GMAP_COMPILER.decode(),
        "flags": flags,
        "debug": bool(GMAP_IS_DEBUG),
        "native": "-march=native" in flags,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        print(f"{key + ':':<10} {value}")
    return None


def get_include():
    """The directory of the C headers, for compiling modules that cimport `gmap`.

    Add it, and NumPy's, to `include_dirs`; Cython finds the `.pxd` files in the installed
    package by itself (docs/cython.md).

    >>> import os
    >>> os.path.basename(get_include())
    'include'
    """
    return str(pathlib.Path(__file__).parent / "include")
