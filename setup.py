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
from Cython import __version__ as cython_version
from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
INCLUDE = [str(HERE / package / "include") for package in ("gmap", "saecore")]
CPUS = os.cpu_count() or 1
# Cython's processes import this file again where they cannot be forked.
CAN_FORK = sys.platform == "linux" and sys.version_info < (3, 14)


def switch(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def write_if_changed(path: Path, text: str) -> None:
    """Leave an unchanged file alone, so that nothing is rebuilt because of it."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def definitions(source: str, prefix: str) -> tuple[list[str], list[str], list[str]]:
    """The macros, constants and enumeration members of a module of plain definitions."""
    namespace = runpy.run_path(str(HERE / source))
    macros: list[str] = []
    constants: list[str] = []
    members: list[str] = []
    for name, value in namespace.items():
        if isinstance(value, EnumType) and value.__module__ != "enum":
            stem = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
            for member, number in value.__members__.items():
                c_name = f"{stem}_{member}"
                macros.append(f"#define {prefix}{c_name} ({int(number)})")
                members.append(f'        {c_name} "{prefix}{c_name}"')
        elif name.isupper() and isinstance(value, int):
            macros.append(f"#define {prefix}{name} UINT64_C({value:#x})")
            constants.append(f'    const uint64_t {name} "{prefix}{name}"')
    return macros, constants, members


def structure(name: str, size: int, fields: list) -> tuple[list[str], list[str]]:
    """A C struct with every field where the list says, and its Cython declaration."""
    lines = ["typedef struct {"]
    declared = [f"    ctypedef struct {name}:"]
    at = 0
    for field in fields:
        if field.offset > at:
            lines.append(f"    uint8_t reserved_{at:03x}[{field.offset - at}];")
        count = f"[{field.length}]" if field.length > 1 else ""
        lines.append(f"    uint{8 * field.size}_t {field.name}{count};")
        declared.append(f"        uint{8 * field.size}_t {field.name}{count}")
        at = field.offset + field.size * field.length
    lines += [f"    uint8_t reserved_{at:03x}[{size - at}];"] if at < size else []
    lines.append(f"}} {name};")
    lines.append(f"_Static_assert(sizeof({name}) == {size}, \"size of {name}\");")
    lines += [
        f'_Static_assert(__builtin_offsetof({name}, {at.name}) == {at.offset:#x}, "{at.name}");'
        for at in fields
    ]
    return lines, declared


def write_definitions(
    pxd: str, header: str, macros: list[str], declarations: list[str], origin: str
) -> None:
    """A C header, and the `.pxd` that declares what is in it."""
    guard = header.replace(".", "_").upper()
    write_if_changed(
        HERE / pxd.split("/")[0] / "include" / header,
        "\n".join(
            [
                f"/* Written by setup.py from {origin}: change it there. */",
                f"#ifndef {guard}",
                f"#define {guard}",
                "#include <stdint.h>",
                *macros,
                "#endif\n",
            ]
        ),
    )
    write_if_changed(
        HERE / pxd,
        "\n".join(
            [
                f"# Written by setup.py from {origin}: change it there.",
                "from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t",
                "",
                "",
                f'cdef extern from "{header}" nogil:',
                *declarations,
            ]
        )
        + "\n",
    )


def generate_gmap_defs() -> None:
    """Write the C header and the Cython declarations of `gmap/_defs.py`."""
    macros, constants, members = definitions("gmap/_defs.py", "GMAP_")
    declarations = [*constants, "    enum:", *members]
    write_definitions("gmap/_defs.pxd", "gmap_defs.h", macros, declarations, "gmap/_defs.py")


def generate_sae_defs() -> None:
    """The same of saecore's constants, structures and system registers."""
    from saecore import _layout, _sysregs

    macros, constants, members = definitions("saecore/_defs.py", "")
    block, block_declared = structure("sae_block_t", _layout.BLOCK_BYTES, _layout.BLOCK)
    area, area_declared = structure("save_area_t", _layout.SAVE_AREA_BYTES, _layout.SAVE_AREA)
    icptd = [f"#define ICPTD_{field.name.upper()} {field.offset:#x}" for field in _layout.ICPTD]
    registers = [f"REG_{name}" for name in _sysregs.saved_names()]
    macros += [*icptd, *block, *area, "enum {"]
    macros += [*(f"    {name} = {at}," for at, name in enumerate(registers)), "};"]
    declarations = [
        *constants,
        *block_declared,
        *area_declared,
        "    enum:",
        *members,
        *(f"        ICPTD_{field.name.upper()}" for field in _layout.ICPTD),
        *(f"        {name}" for name in registers),
    ]
    write_definitions("saecore/_defs.pxd", "sae_defs.h", macros, declarations, "saecore/_defs.py")


def generate_kvm_uapi() -> None:
    """The constants and structures of the KVM API."""
    source = "saecore/kvm/uapi.py"
    macros, constants, members = definitions(source, "KVM_")
    structs = runpy.run_path(str(HERE / source))["STRUCTS"]
    declarations = [*constants]
    for name, (size, fields) in structs.items():
        lines, declared = structure(name, size, fields)
        macros += lines
        declarations += declared
    declarations += ["    enum:", *members]
    write_definitions("saecore/kvm/_uapi.pxd", "kvm_uapi.h", macros, declarations, source)


def generate_a64() -> None:
    """Write the encoding table and the list of operations for C and Cython."""
    from saecore.a64 import encodings

    rows, ops = encodings.ENCODINGS, encodings.OPS
    header = [
        "/* Written by setup.py from saecore/a64/encodings: change it there. */",
        "#ifndef SAE_A64_H",
        "#define SAE_A64_H",
        "#include <stdint.h>",
        "enum {",
        *(f"    OP_{name}," for name in ops),
        "    N_OPS",
        "};",
        "#define SAE_OP_LABELS \\",
        *(f"    &&L_{name}, \\" for name in ops),
        "",
        "#define SAE_EACH_INLINED(X) \\",
        *(f"    X({name}, {log2}) \\" for name, log2 in encodings.vector.INLINED.items()),
        "",
        "enum {",
        *(f"    ENC_{row.key}," for row in rows),
        "    N_ENCODINGS",
        "};",
        "typedef struct {",
        "    uint32_t mask, value;",
        "    uint64_t feature;",
        "    int group;",
        "} sae_encoding_t;",
        "enum {",
        *(f"    GROUP_{name.upper()}," for name in encodings.GROUPS),
        "    N_GROUPS",
        "};",
        "static const sae_encoding_t sae_encodings[] = {",
        *(
            f"    {{{row.mask:#010x}, {row.value:#010x}, {int(row.feature or 0):#x}, "
            f"GROUP_{row.group.upper()}}}, /* {row.key} */"
            for row in rows
        ),
        "};",
        "#endif\n",
    ]
    declarations = [
        "# Written by setup.py from saecore/a64/encodings: change it there.",
        "from libc.stdint cimport uint32_t, uint64_t",
        "",
        "",
        'cdef extern from "sae_a64.h" nogil:',
        "    ctypedef struct sae_encoding_t:",
        "        uint32_t mask",
        "        uint32_t value",
        "        uint64_t feature",
        "        int group",
        "    const sae_encoding_t sae_encodings[]",
        "    enum:",
        "        N_OPS",
        "        N_ENCODINGS",
        "        N_GROUPS",
        *(f"        GROUP_{name.upper()}" for name in encodings.GROUPS),
        *(f"        OP_{name}" for name in ops),
        *(f"        ENC_{row.key}" for row in rows),
    ]
    write_if_changed(HERE / "saecore" / "include" / "sae_a64.h", "\n".join(header))
    write_if_changed(HERE / "saecore" / "a64" / "_codes.pxd", "\n".join(declarations) + "\n")


def generate_sysregs() -> None:
    """Write the table of system registers, in the order of their encodings, for C and Cython."""
    from saecore import _sysregs

    kinds = (_sysregs.Home, _sysregs.Right, _sysregs.Gate, _sysregs.Special)
    members = {
        f"{kind.__name__.upper()}_{name}": int(value)
        for kind in kinds
        for name, value in kind.__members__.items()
    }
    saved = set(_sysregs.saved_names())
    rows = sorted(_sysregs.SYSREGS, key=lambda row: row.key)
    named = [row for row in rows if row.special is _sysregs.Special.PSTATE_BIT]
    counts = [name for name in vars(_sysregs) if name.startswith("N_")] + ["COUNTER_HZ"]
    header = [
        "/* Written by setup.py from saecore/_sysregs.py: change it there. */",
        "#ifndef SAE_SYSREGS_H",
        "#define SAE_SYSREGS_H",
        '#include "sae_defs.h"',
        "enum {",
        *(f"    {name} = {value}," for name, value in members.items()),
        *(f"    {name} = {getattr(_sysregs, name)}," for name in counts),
        *(f"    KEY_{row.name} = {row.key:#06x}," for row in named),
        f"    N_SYSREGS = {len(rows)},",
        "};",
        "typedef struct {",
        "    uint16_t key;",
        "    uint8_t home, el1, el0, gate, special, effect;",
        "    int reg;",
        "    uint64_t mask, trap, feature;",
        "} sysreg_t;",
        "static const sysreg_t sae_sysregs[] = {",
        *(
            f"    {{{row.key:#06x}, {int(row.home)}, {int(row.el1)}, {int(row.el0)}, "
            f"{int(row.gate)}, {int(row.special)}, {int(row.effect)}, "
            f"{'REG_' + row.name if row.name in saved else -1}, UINT64_C({row.mask:#x}), "
            f"UINT64_C({row.trap:#x}), {int(row.feature):#x}}}, /* {row.name} */"
            for row in rows
        ),
        "};",
        "#endif\n",
    ]
    declarations = [
        "# Written by setup.py from saecore/_sysregs.py: change it there.",
        "from libc.stdint cimport uint8_t, uint16_t, uint64_t",
        "",
        "",
        'cdef extern from "sae_sysregs.h" nogil:',
        "    ctypedef struct sysreg_t:",
        "        uint16_t key",
        "        uint8_t home",
        "        uint8_t el1",
        "        uint8_t el0",
        "        uint8_t gate",
        "        uint8_t special",
        "        uint8_t effect",
        "        int reg",
        "        uint64_t mask",
        "        uint64_t trap",
        "        uint64_t feature",
        "    const sysreg_t sae_sysregs[]",
        "    enum:",
        *(f"        {name}" for name in (*members, *counts, "N_SYSREGS")),
        *(f"        KEY_{row.name}" for row in named),
    ]
    write_if_changed(HERE / "saecore" / "include" / "sae_sysregs.h", "\n".join(header))
    write_if_changed(HERE / "saecore" / "_sysreg_codes.pxd", "\n".join(declarations) + "\n")


def build_flags() -> tuple[list[str], list[str], dict[str, bool]]:
    """Compiler arguments, linker arguments and Cython directives of this build."""
    debug = switch("GMAP_DEBUG")
    compile_args = ["-O3", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-sign-compare"]
    # A product and a sum must round twice where A64 says so.
    compile_args.append("-ffp-contract=off")
    link_args: list[str] = []
    if debug:
        compile_args[0] = "-O1"
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
                    include_dirs=[*INCLUDE, numpy.get_include()],
                    define_macros=[
                        ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                        ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
                        ("GMAP_BUILD_FLAGS", f'"{config}"'),
                    ],
                    extra_compile_args=compile_args,
                    extra_link_args=link_args,
                    libraries=["pthread", "m"],
                )
            )
    return found


def headers_of(source: Path) -> set[Path]:
    """This project's headers that a C file includes, and those they include."""
    found: set[Path] = set()
    left = [source]
    while left:
        for name in re.findall(r'^\s*#\s*include\s+"(\w+\.h)"', left.pop().read_text(), re.M):
            for path in (Path(directory) / name for directory in INCLUDE):
                if path.exists() and path not in found:
                    found.add(path)
                    left.append(path)
    return found


def c_sources() -> dict[Path, tuple[int, bytes]]:
    """The C files there are: when they were written, and what is in them but for the lines that
    name the environment they were made in."""
    found = {}
    for package in ("gmap", "saecore"):
        for pyx in (HERE / package).rglob("*.pyx"):
            path = pyx.with_suffix(".c")
            if path.exists():
                body = path.read_bytes().partition(b"\nEND: Cython Metadata */")[2]
                found[path] = path.stat().st_mtime_ns, body
    return found


def cythonized(modules: list[Extension], directives: dict[str, bool]) -> list[Extension]:
    """Run Cython. It runs anew in every build environment, as its own files are new there; what
    comes out as it was keeps its time, so that it is not compiled again with the same tools."""
    tools = repr((sys.version, numpy.__version__, cython_version, build_flags()))
    stamp = HERE / "build" / "made-with"
    same = stamp.exists() and stamp.read_text() == tools
    before = c_sources() if same else {}
    made: list[Extension] = cythonize(
        modules,
        compiler_directives=directives,
        annotate=switch("GMAP_ANNOTATE"),
        nthreads=CPUS if CAN_FORK else 0,
    )
    for module in made:
        module.depends = sorted(map(str, headers_of(HERE / module.sources[0])))
    for path, (_, body) in c_sources().items():
        if path in before and before[path][1] == body:
            os.utime(path, ns=(before[path][0], before[path][0]))
    stamp.parent.mkdir(exist_ok=True)
    write_if_changed(stamp, tools)
    return made


# What is written for saecore comes from modules of it that nothing compiled is needed for.
sys.path.insert(0, str(HERE))
generate_gmap_defs()
generate_sae_defs()
generate_kvm_uapi()
generate_a64()
generate_sysregs()
compile_args, link_args, directives = build_flags()
setup(
    ext_modules=cythonized(extensions(compile_args, link_args), directives),
    options={"build_ext": {"parallel": CPUS}},
)
