"""Loads and stores of general registers: encodings, and the operations of `sae_ops_memory.h`.

Source: Arm ARM (DDI 0487), "Loads and Stores", C4.1 and C6.2.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

#: Addressing forms of one register: the bits behind those that say size and V, up to Rn, with
#: ``OO`` where an instruction has its opc.
FORMS = {
    "offset": "01 OO iiiiiiiiiiii",
    "unscaled": "00 OO 0 iiiiiiiii 00",
    "post": "00 OO 0 iiiiiiiii 01",
    "pre": "00 OO 0 iiiiiiiii 11",
    "register": "00 OO 1 mmmmm e1f s 10",
}
UNPRIVILEGED = {"unprivileged": "00 OO 0 iiiiiiiii 10"}
#: Those of a pair, up to Rt2.
PAIR_FORMS = {"no_allocate": "00", "post": "01", "offset": "10", "pre": "11"}
TITLES = {
    "offset": "unsigned offset",
    "unscaled": "unscaled offset",
    "post": "post-index",
    "pre": "pre-index",
    "register": "register offset",
    "unprivileged": "unprivileged",
    "literal": "literal",
    "no_allocate": "no allocate hint",
}

#: Mnemonic, size bits, opc bits.
_TRANSFERS = [
    ("STRB", "00", "00"),
    ("LDRB", "00", "01"),
    ("LDRSB", "00", "1w"),
    ("STRH", "01", "00"),
    ("LDRH", "01", "01"),
    ("LDRSH", "01", "1w"),
    ("STR", "1z", "00"),
    ("LDR", "1z", "01"),
    ("LDRSW", "10", "10"),
]
#: The same of those that acquire or release at an offset.
_ORDERED_OFFSETS = [
    ("STLUR", "zz", "00"),
    ("LDAPUR", "zz", "01"),
    ("LDAPURSB", "00", "1w"),
    ("LDAPURSH", "01", "1w"),
    ("LDAPURSW", "10", "10"),
]
_ATOMICS = {
    "LDADD": "0 000",
    "LDCLR": "0 001",
    "LDEOR": "0 010",
    "LDSET": "0 011",
    "LDSMAX": "0 100",
    "LDSMIN": "0 101",
    "LDUMAX": "0 110",
    "LDUMIN": "0 111",
    "SWP": "1 000",
}


def of_form(mnemonic: str, form: str) -> str:
    """What the manual calls an instruction in a form: LDR is LDUR, LDTR, LDNP."""
    stem, rest = mnemonic[:2], mnemonic[2:]
    if form == "unscaled":
        return f"{mnemonic[:-1]}UM" if mnemonic == "PRFM" else f"{stem}U{rest}"
    if form == "unprivileged":
        return f"{stem}T{rest}"
    return f"{stem}NP" if form == "no_allocate" else mnemonic


def row(mnemonic: str, form: str, pattern: str, feature: Feature | None = None) -> Encoding:
    name = of_form(mnemonic, form)
    key, title = (f"{name}_{form}", f"{name} ({TITLES[form]})") if form else (name, name)
    return Encoding(key.lower(), title, pattern, "memory", feature)


def _single() -> list[Encoding]:
    """One register, and prefetches, which share its forms."""
    rows = [
        row(name, form, f"{size} 111 0 {bits.replace('OO', opc)} nnnnn ttttt")
        for name, size, opc in _TRANSFERS
        for form, bits in (FORMS | UNPRIVILEGED).items()
    ]
    rows += [
        row("PRFM", form, f"11 111 0 {FORMS[form].replace('OO', '10')} nnnnn ppppp")
        for form in ("offset", "unscaled", "register")
    ]
    rows += [
        row(name, "literal", f"{opc} 011 0 00 iiiiiiiiiiiiiiiiiii ttttt")
        for name, opc in (("LDR", "0z"), ("LDRSW", "10"), ("PRFM", "11"))
    ]
    return rows


def _pairs() -> list[Encoding]:
    rows = [
        row(name, form, f"z0 101 0 0 {bits} {load} iiiiiii uuuuu nnnnn ttttt")
        for name, load in (("STP", 0), ("LDP", 1))
        for form, bits in PAIR_FORMS.items()
    ]
    rows += [
        row("LDPSW", form, f"01 101 0 0 {bits} 1 iiiiiii uuuuu nnnnn ttttt")
        for form, bits in PAIR_FORMS.items()
        if form != "no_allocate"
    ]
    return rows


def _ordered() -> list[Encoding]:
    """Exclusives, and those that acquire or release."""
    return [
        row("STXR", "", "zz 001000 000 sssss o ..... nnnnn ttttt"),
        row("LDXR", "", "zz 001000 010 ..... o ..... nnnnn ttttt"),
        row("STXP", "", "1z 001000 001 sssss o uuuuu nnnnn ttttt"),
        row("LDXP", "", "1z 001000 011 ..... o uuuuu nnnnn ttttt"),
        row("STLR", "", "zz 001000 100 ..... 1 ..... nnnnn ttttt"),
        row("LDAR", "", "zz 001000 110 ..... 1 ..... nnnnn ttttt"),
        row("STLLR", "", "zz 001000 100 ..... 0 ..... nnnnn ttttt", Feature.LOR),
        row("LDLAR", "", "zz 001000 110 ..... 0 ..... nnnnn ttttt", Feature.LOR),
        # Rs should be 31: what it means otherwise is the processor's choice, and this is it.
        row("LDAPR", "", "zz 111 0 00 1 0 1 11111 1 100 00 nnnnn ttttt", Feature.LRCPC),
        *(
            row(name, "", f"{size} 011 0 01 {opc} 0 iiiiiiiii 00 nnnnn ttttt", Feature.LRCPC2)
            for name, size, opc in _ORDERED_OFFSETS
        ),
    ]


def _atomics() -> list[Encoding]:
    rows = [
        row("CAS", "", "zz 001000 1 a 1 sssss r 11111 nnnnn ttttt", Feature.LSE),
        row("CASP", "", "0z 001000 0 a 1 ssss0 r 11111 nnnnn tttt0", Feature.LSE),
    ]
    rows += [
        row(name, "", f"zz 111 0 00 a r 1 sssss {bits} 00 nnnnn ttttt", Feature.LSE)
        for name, bits in _ATOMICS.items()
    ]
    return rows


ENCODINGS: list[Encoding] = [*_single(), *_pairs(), *_ordered(), *_atomics()]

# The emitters count on the order of all that follows.

#: How an operation finds its address (`sae_ops_memory.h`).
PAIR_OP_FORMS = ["imm", "sp", "wb"]
OP_FORMS = [*PAIR_OP_FORMS, "reg", "uxtw", "sxtw"]
_SINGLE_OPS = [
    *("st8", "ld8", "ld8s64", "ld8s32"),
    *("st16", "ld16", "ld16s64", "ld16s32"),
    *("st32", "ld32", "ld32s64"),
    *("st64", "ld64"),
]
_PAIR_OPS = ["stp32", "ldp32", "ldp32s64", "stp64", "ldp64"]
_SIZES = (8, 16, 32, 64)
OPS: list[str] = [
    "check_sp",
    "add_base",
    *(f"{name}_{form}" for name in _SINGLE_OPS for form in [*OP_FORMS, "user"]),
    *(f"{name}_{form}" for name in _PAIR_OPS for form in PAIR_OP_FORMS),
    *(f"{name}{size}" for name in ("stl", "lda", "stx", "ldx") for size in _SIZES),
    *("stxp32", "stxp64", "ldxp32", "ldxp64"),
    *(f"{name.lower()}{size}" for name in _ATOMICS for size in _SIZES),
    *(f"cas{size}" for size in _SIZES),
    *("casp32", "casp64"),
]
