"""Build of the compiled modules.

Environment switches, all off by default:

GMAP_DEBUG=1              Cython bounds, wraparound and initialisation checks, C assertions
GMAP_NATIVE=1             -march=native (refused when a wheel for others is being built)
GMAP_SANITIZE=thread      ThreadSanitizer; ``address`` for AddressSanitizer and UBSan
GMAP_ANNOTATE=1           write Cython's annotated HTML beside each source
"""

import os
import re
import runpy
import sys
from enum import EnumType
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
INCLUDE = HERE / "gmap" / "include"
CPUS = os.cpu_count() or 1
# Cython's processes import this file again where they cannot be forked.
CAN_FORK = sys.platform == "linux" and sys.version_info < (3, 14)


def switch(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def write_if_changed(path: Path, text: str) -> None:
    """Leave an unchanged file alone, so that nothing is rebuilt because of it."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def generate_defs() -> None:
    """Write the C header and the Cython declarations of `gmap/_defs.py`."""
    namespace = runpy.run_path(str(HERE / "gmap" / "_defs.py"))
    macros: list[str] = []
    constants: list[str] = []
    members: list[str] = []
    for name, value in namespace.items():
        if isinstance(value, EnumType) and value.__module__ != "enum":
            prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
            for member, number in value.__members__.items():
                c_name = f"{prefix}_{member}"
                macros.append(f"#define GMAP_{c_name} ({int(number)})")
                members.append(f'        {c_name} "GMAP_{c_name}"')
        elif name.isupper() and isinstance(value, int):
            macros.append(f"#define GMAP_{name} UINT64_C({value:#x})")
            constants.append(f'    const uint64_t {name} "GMAP_{name}"')
    header = [
        "/* Written by setup.py from gmap/_defs.py: change it there. */",
        "#ifndef GMAP_DEFS_H",
        "#define GMAP_DEFS_H",
        "#include <stdint.h>",
        *macros,
        "#endif",
    ]
    declarations = [
        "# Written by setup.py from gmap/_defs.py: change it there.",
        "from libc.stdint cimport uint64_t",
        "",
        "",
        'cdef extern from "gmap_defs.h" nogil:',
        *constants,
        "    enum:",
        *members,
    ]
    write_if_changed(INCLUDE / "gmap_defs.h", "\n".join(header) + "\n")
    write_if_changed(HERE / "gmap" / "_defs.pxd", "\n".join(declarations) + "\n")


def build_flags() -> tuple[list[str], list[str], dict[str, bool]]:
    """Compiler arguments, linker arguments and Cython directives of this build."""
    debug = switch("GMAP_DEBUG")
    compile_args = ["-O3", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-sign-compare"]
    link_args: list[str] = []
    if debug:
        compile_args += ["-DGMAP_DEBUG", "-UNDEBUG"]
    elif not switch("GMAP_SANITIZE") and not switch("GMAP_NATIVE"):
        # Python asks for debug information, which takes time to make. Who profiles builds with
        # GMAP_NATIVE.
        compile_args.append("-g0")
    if switch("GMAP_NATIVE"):
        if os.environ.get("CIBUILDWHEEL"):
            raise SystemExit("GMAP_NATIVE=1 makes a build for this machine only: not for wheels")
        compile_args.append("-march=native")
    sanitize = os.environ.get("GMAP_SANITIZE", "")
    if sanitize not in ("", "thread", "address"):
        raise SystemExit(f"GMAP_SANITIZE={sanitize!r}: use 'thread' or 'address'")
    if sanitize:
        kinds = "thread" if sanitize == "thread" else "address,undefined"
        compile_args += [f"-fsanitize={kinds}", "-g", "-O1", "-fno-omit-frame-pointer"]
        link_args.append(f"-fsanitize={kinds}")
    directives = {
        "language_level": "3",
        "boundscheck": debug,
        "wraparound": debug,
        "initializedcheck": debug,
        "cdivision": True,
        "embedsignature": True,
        "binding": True,
        "auto_pickle": False,
    }
    return compile_args, link_args, directives


def extensions(compile_args: list[str], link_args: list[str]) -> list[Extension]:
    config = " ".join(compile_args).replace('"', "")
    found = []
    for package in ("gmap", "saecore"):
        for source in sorted((HERE / package).rglob("*.pyx")):
            relative = source.relative_to(HERE)
            found.append(
                Extension(
                    ".".join(relative.with_suffix("").parts),
                    [str(relative)],
                    include_dirs=[str(INCLUDE), numpy.get_include()],
                    define_macros=[
                        ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                        ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
                        ("GMAP_BUILD_FLAGS", f'"{config}"'),
                    ],
                    extra_compile_args=compile_args,
                    extra_link_args=link_args,
                    libraries=["pthread"],
                )
            )
    return found


generate_defs()
compile_args, link_args, directives = build_flags()
setup(
    ext_modules=cythonize(
        extensions(compile_args, link_args),
        compiler_directives=directives,
        annotate=switch("GMAP_ANNOTATE"),
        nthreads=CPUS if CAN_FORK else 0,
    ),
    options={"build_ext": {"parallel": CPUS}},
)
