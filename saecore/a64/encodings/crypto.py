"""AES, SHA, SM3 and SM4 instructions.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

#: Mnemonics by feature, each with the bits in front of Rn, where ``m`` is Rm, ``a`` is Ra and
#: ``i`` an immediate.
_INSTRUCTIONS = {
    Feature.AES: {
        "AESE": "01001110 00 10100 00100 10",
        "AESD": "01001110 00 10100 00101 10",
        "AESMC": "01001110 00 10100 00110 10",
        "AESIMC": "01001110 00 10100 00111 10",
    },
    Feature.SHA1: {
        "SHA1C": "01011110 000 mmmmm 0 000 00",
        "SHA1P": "01011110 000 mmmmm 0 001 00",
        "SHA1M": "01011110 000 mmmmm 0 010 00",
        "SHA1SU0": "01011110 000 mmmmm 0 011 00",
        "SHA1H": "01011110 00 10100 00000 10",
        "SHA1SU1": "01011110 00 10100 00001 10",
    },
    Feature.SHA256: {
        "SHA256H": "01011110 000 mmmmm 0 100 00",
        "SHA256H2": "01011110 000 mmmmm 0 101 00",
        "SHA256SU1": "01011110 000 mmmmm 0 110 00",
        "SHA256SU0": "01011110 00 10100 00010 10",
    },
    Feature.SHA512: {
        "SHA512H": "11001110 011 mmmmm 1 0 00 00",
        "SHA512H2": "11001110 011 mmmmm 1 0 00 01",
        "SHA512SU1": "11001110 011 mmmmm 1 0 00 10",
        "SHA512SU0": "11001110 110 00000 1000 00",
    },
    Feature.SHA3: {
        "RAX1": "11001110 011 mmmmm 1 0 00 11",
        "XAR": "11001110 100 mmmmm iiiiii",
        "EOR3": "11001110 000 mmmmm 0 aaaaa",
        "BCAX": "11001110 001 mmmmm 0 aaaaa",
    },
    Feature.SM3: {
        "SM3SS1": "11001110 010 mmmmm 0 aaaaa",
        "SM3TT1A": "11001110 010 mmmmm 10 ii 00",
        "SM3TT1B": "11001110 010 mmmmm 10 ii 01",
        "SM3TT2A": "11001110 010 mmmmm 10 ii 10",
        "SM3TT2B": "11001110 010 mmmmm 10 ii 11",
        "SM3PARTW1": "11001110 011 mmmmm 1 1 00 00",
        "SM3PARTW2": "11001110 011 mmmmm 1 1 00 01",
    },
    Feature.SM4: {
        "SM4EKEY": "11001110 011 mmmmm 1 1 00 10",
        "SM4E": "11001110 110 00000 1000 01",
    },
}

# AESE comes first: the table of functions begins there (sae_crypto_ops.h).
ENCODINGS: list[Encoding] = [
    Encoding(name.lower(), name, f"{bits} nnnnn ddddd", "crypto", feature)
    for feature, instructions in _INSTRUCTIONS.items()
    for name, bits in instructions.items()
]

OPS: list[str] = []
