"""AES, SHA, SM3 and SM4 instructions.

Judges: Python's hashlib, and the examples of FIPS 197, GB/T 32905 and GB/T 32907. Tables and
constants are made here from their definitions.
"""

import hashlib

import numpy as np
import pytest
from bare_guest import BareGuest, word

from saecore.a64._blocks import operations
from saecore.a64.encodings import ENCODINGS

WORD, LONG = (1 << 32) - 1, (1 << 64) - 1
ROWS = [row for row in ENCODINGS if row.group == "crypto"]


class Vectors:
    """Runs instructions on 128-bit registers."""

    def __init__(self):
        self.guest = BareGuest()

    def run(self, program, values):
        """What becomes of the first registers, of the values they have."""
        vregs = self.guest.processor.vregs
        vregs[:] = 0x5A5A
        for number, value in enumerate(values):
            vregs[number] = value & LONG, value >> 64
        out = self.guest.run(program, regs={"CPACR_EL1": 3 << 20})
        assert out.hvc is not None
        vregs = self.guest.last.vregs
        return [int(low) | int(high) << 64 for low, high in vregs[: len(values)]]

    def do(self, key, d=0, n=0, m=0, a=0, **immediate):
        """D of one instruction."""
        fields = ENCODING[key].fields
        numbers = {"d": 0, "n": 1, "m": 2, "a": 3}
        used = {name: number for name, number in numbers.items() if name in fields}
        return self.run([word(key, **used, **immediate)], [d, n, m, a])[0]


ENCODING = {row.key: row for row in ROWS}


@pytest.fixture(scope="module")
def v():
    return Vectors()


def words(values):
    return sum((value & WORD) << 32 * at for at, value in enumerate(values))


def split(value, bits=32):
    return [value >> at & (1 << bits) - 1 for at in range(0, 128, bits)]


def rol(value, by):
    return (value << by | value >> 32 - by) & WORD


def block_of(data):
    return int.from_bytes(data, "little")


# --- AES ------------------------------------------------------------------------------------

KEY = bytes(range(16))
PLAIN = bytes.fromhex("00112233445566778899aabbccddeeff")
CIPHER = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")  # FIPS 197, C.1


def times(a, b):
    product = 0
    while b:
        product ^= a * (b & 1)
        a, b = a << 1 ^ (a >> 7) * 0x11B, b >> 1
    return product


def sbox():
    found = []
    for x in range(256):
        y = next((y for y in range(256) if times(x, y) == 1), 0)
        turned = y | y << 8
        found.append((y ^ turned >> 4 ^ turned >> 5 ^ turned >> 6 ^ turned >> 7) & 0xFF ^ 0x63)
    return found


def round_keys(key):
    box, parts, power = sbox(), [list(key[at : at + 4]) for at in range(0, 16, 4)], 1
    while len(parts) < 44:
        last = parts[-1]
        if len(parts) % 4 == 0:
            last = [box[x] for x in last[1:] + last[:1]]
            last[0] ^= power
            power = times(power, 2)
        parts.append([x ^ y for x, y in zip(parts[-4], last, strict=True)])
    data = bytes(x for part in parts for x in part)
    return [block_of(data[at : at + 16]) for at in range(0, 176, 16)]


def one_aes(first, second, apart):
    """Ten rounds; with something between the two instructions of a round, they are not one."""
    program = []
    for n in range(1, 10):
        program.append(word(first, d=0, n=n))
        program += [0xD503201F] * apart
        program.append(word(second, d=0, n=0))
    return [*program, word(first, d=0, n=10)]


@pytest.mark.parametrize("apart", [0, 1])
def test_aes_of_fips_197(v, apart):
    keys = round_keys(KEY)
    out = v.run(one_aes("aese", "aesmc", apart), [block_of(PLAIN), *keys[:10]])[0]
    assert (out ^ keys[10]).to_bytes(16, "little") == CIPHER
    back = [keys[10], *(v.do("aesimc", n=key) for key in keys[9:0:-1])]
    out = v.run(one_aes("aesd", "aesimc", apart), [block_of(CIPHER), *back])[0]
    assert (out ^ keys[0]).to_bytes(16, "little") == PLAIN


def test_halves_of_a_round_undo_each_other(v):
    for value in (0, (1 << 128) - 1, block_of(KEY), block_of(CIPHER)):
        assert v.do("aesimc", n=v.do("aesmc", n=value)) == value
        # AESE shifts and substitutes; AESD of that, with no key, is its inverse.
        assert v.do("aesd", d=v.do("aese", d=value)) == value


# --- SHA ------------------------------------------------------------------------------------


def root_bits(prime, power, bits):
    """The first bits of the fraction of a square or cube root."""
    low, high, wanted = 0, 1 << bits + 8, prime << power * bits
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= wanted else (low, middle)
    return low & (1 << bits) - 1


def primes(count):
    found = []
    while len(found) < count:
        number = found[-1] + 1 if found else 2
        while any(number % prime == 0 for prime in found):
            number += 1
        found.append(number)
    return found


def padded(message, block):
    """The one block of a message, as big-endian words."""
    tail = (8 * len(message)).to_bytes(block // 8, "big")
    text = message + b"\x80" + bytes(block - len(message) - 1 - len(tail)) + tail
    size = block // 16
    return [int.from_bytes(text[at : at + size], "big") for at in range(0, block, size)]


MESSAGE = b"abcdbcdecdefdefgefghfghighijhi"


def test_sha1_is_hashlibs(v):
    start = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    abcd, e = words(start[:4]), start[4]
    w = [words(padded(MESSAGE, 64)[at : at + 4]) for at in range(0, 16, 4)]
    for group in range(20):
        k = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)[group // 5]
        if group >= 4:
            early = v.do("sha1su0", d=w[group - 4], n=w[group - 3], m=w[group - 2])
            w.append(v.do("sha1su1", d=early, n=w[group - 1]))
        key = "sha1" + "cpmp"[group // 5]
        later = v.do("sha1h", n=abcd)
        abcd, e = v.do(key, d=abcd, n=e, m=words(x + k for x in split(w[group]))), later
    state = [*split(abcd), e]
    digest = b"".join((x + y & WORD).to_bytes(4, "big") for x, y in zip(state, start, strict=True))
    assert digest == hashlib.sha1(MESSAGE).digest()


@pytest.mark.parametrize("copied", [True, False])
def test_sha256_is_hashlibs(v, copied):
    """With the old state copied, SHA256H and SHA256H2 are one operation; in V3 is another."""
    start = [root_bits(prime, 2, 32) for prime in primes(8)]
    k = [root_bits(prime, 3, 32) for prime in primes(64)]
    x, y = words(start[:4]), words(start[4:])
    w = [words(padded(MESSAGE, 64)[at : at + 4]) for at in range(0, 16, 4)]
    both = [word("sha256h", d=0, n=1, m=2), word("sha256h2", d=1, n=3, m=2)]
    for group in range(16):
        if group >= 4:
            early = v.do("sha256su0", d=w[group - 4], n=w[group - 3])
            w.append(v.do("sha256su1", d=early, n=w[group - 2], m=w[group - 1]))
        wk = words(a + b for a, b in zip(split(w[group]), k[4 * group :], strict=False))
        if copied:
            x, y = v.run(both, [x, y, wk, x])[:2]
        else:
            other = v.run(both, [x, y, wk, x ^ 1])
            x, y, before = other[0], v.do("sha256h2", d=y, n=x, m=wk), y
            assert other[1] == v.do("sha256h2", d=before, n=other[3], m=wk)
    digest = b"".join(
        (a + b & WORD).to_bytes(4, "big") for a, b in zip(split(x) + split(y), start, strict=True)
    )
    assert digest == hashlib.sha256(MESSAGE).digest()


def test_sha512_is_hashlibs(v):
    start = [root_bits(prime, 2, 64) for prime in primes(8)]
    k = [root_bits(prime, 3, 64) for prime in primes(80)]
    w = padded(MESSAGE, 128)
    pairs = [w[at] | w[at + 1] << 64 for at in range(0, 16, 2)]
    ab, cd, ef, gh = (start[at] | start[at + 1] << 64 for at in range(0, 8, 2))

    def across(low, high):
        """The upper half of one and the lower half of the next."""
        return low >> 64 | (high & LONG) << 64

    def add(one, other):
        return (one + other & LONG) | ((one >> 64) + (other >> 64) & LONG) << 64

    for group in range(40):
        if group >= 8:
            early = v.do("sha512su0", d=pairs[group - 8], n=pairs[group - 7])
            middle = across(pairs[group - 4], pairs[group - 3])
            pairs.append(v.do("sha512su1", d=early, n=pairs[group - 1], m=middle))
        wk = add(pairs[group], k[2 * group] | k[2 * group + 1] << 64)
        # The sum goes to h and g the other way round.
        swapped = add(wk >> 64 | (wk & LONG) << 64, gh)
        t = v.do("sha512h", d=swapped, n=across(ef, gh), m=across(cd, ef))
        ab, cd, ef, gh = v.do("sha512h2", d=t, n=cd, m=ab), ab, add(cd, t), ef
    state = [half for pair in (ab, cd, ef, gh) for half in split(pair, 64)]
    digest = b"".join((x + y & LONG).to_bytes(8, "big") for x, y in zip(state, start, strict=True))
    assert digest == hashlib.sha512(MESSAGE).digest()


def keccak_constants():
    """The first lane's constant of each round, and each lane's rotation."""
    rotations, (x, y) = {(0, 0): 0}, (1, 0)
    for step in range(24):
        rotations[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    constants, state = [], 1
    for _ in range(24):
        constant = 0
        for bit in range(7):
            constant |= (state & 1) << (1 << bit) - 1
            state = state << 1 ^ (state >> 7) * 0x171
        constants.append(constant)
    return constants, rotations


def test_sha3_is_hashlibs(v):
    """Two messages at once, one in each half of the registers."""
    messages, rate = (b"", MESSAGE), 136
    lanes = {(x, y): 0 for y in range(5) for x in range(5)}
    for half, message in enumerate(messages):
        text = bytearray(message + b"\x06" + bytes(rate - len(message) - 1))
        text[-1] |= 0x80
        for at in range(rate // 8):
            lane = int.from_bytes(text[8 * at : 8 * at + 8], "little")
            lanes[at % 5, at // 5] |= lane << 64 * half
    constants, rotations = keccak_constants()
    for constant in constants:
        column = [
            v.do("eor3", n=v.do("eor3", n=lanes[x, 0], m=lanes[x, 1], a=lanes[x, 2]),
                 m=lanes[x, 3], a=lanes[x, 4])
            for x in range(5)
        ]  # fmt: skip
        theta = [v.do("rax1", n=column[(x - 1) % 5], m=column[(x + 1) % 5]) for x in range(5)]
        moved = {
            (y, (2 * x + 3 * y) % 5): v.do("xar", n=lane, m=theta[x], i=-rotations[x, y] % 64)
            for (x, y), lane in lanes.items()
        }
        lanes = {
            (x, y): v.do("bcax", n=lane, m=moved[(x + 2) % 5, y], a=moved[(x + 1) % 5, y])
            for (x, y), lane in moved.items()
        }
        lanes[0, 0] ^= constant | constant << 64
    for half, message in enumerate(messages):
        digest = b"".join((lanes[x, 0] >> 64 * half & LONG).to_bytes(8, "little") for x in range(4))
        assert digest == hashlib.sha3_256(message).digest()


# --- SM3 and SM4 ----------------------------------------------------------------------------


def test_sm3_of_the_standard(v):
    start = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600,
             0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]  # fmt: skip
    # Registers have A in their last element.
    x, y = words(start[3::-1]), words(start[:3:-1])
    w = [words(padded(b"abc", 64)[at : at + 4]) for at in range(0, 16, 4)]
    for group in range(17):
        if group >= 4:
            a, b, c, d = w[-4:]
            middle = (b | c << 128) >> 96 & (1 << 128) - 1
            early = v.do("sm3partw1", d=a, n=middle, m=d)
            w.append(v.do("sm3partw2", d=early, n=(c | d << 128) >> 64 & (1 << 128) - 1,
                          m=(a | b << 128) >> 96 & (1 << 128) - 1))  # fmt: skip
    for step in range(64):
        t = rol(0x79CC4519 if step < 16 else 0x7A879D8A, step % 32)
        now, later = w[step // 4], w[step // 4 + 1]
        other = words(p ^ q for p, q in zip(split(now), split(later), strict=True))
        ss1 = v.do("sm3ss1", n=x, m=y & WORD << 96, a=t << 96)
        half = "a" if step < 16 else "b"
        x, y = (
            v.do(f"sm3tt1{half}", d=x, n=ss1, m=other, i=step % 4),
            v.do(f"sm3tt2{half}", d=y, n=ss1, m=now, i=step % 4),
        )
    state = split(x)[::-1] + split(y)[::-1]
    digest = b"".join((p ^ q).to_bytes(4, "big") for p, q in zip(state, start, strict=True))
    assert digest.hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_sm4_of_the_standard(v):
    text = [0x01234567, 0x89ABCDEF, 0xFEDCBA98, 0x76543210]
    mask = [0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC]
    key, data = words(a ^ b for a, b in zip(text, mask, strict=True)), words(text)
    for group in range(8):
        constants = words(
            int.from_bytes(bytes(7 * (4 * (4 * group + at) + n) & 0xFF for n in range(4)), "big")
            for at in range(4)
        )
        key = v.do("sm4ekey", n=key, m=constants)
        data = v.do("sm4e", d=data, n=key)
    assert split(data)[::-1] == [0x681EDF34, 0xD206965E, 0x86B3E94F, 0x536E4246]


# --- the table and the blocks ---------------------------------------------------------------


def decoded(*program):
    return [name for _, name in operations(np.array(program, "u4")) if name == "call"]


def test_pairs_are_one_operation():
    assert len(decoded(word("aese", d=3, n=4), word("aesmc", d=3, n=3))) == 1
    assert len(decoded(word("aesd", d=3, n=4), word("aesimc", d=3, n=3))) == 1
    assert len(decoded(word("aese", d=3, n=4), word("aesmc", d=5, n=3))) == 2
    assert len(decoded(word("aese", d=3, n=4), word("aesimc", d=3, n=3))) == 2
    assert len(decoded(word("aese", d=3, n=4), 0xD503201F, word("aesmc", d=3, n=3))) == 2
    first = word("sha256h", d=0, n=1, m=2)
    assert len(decoded(first, word("sha256h2", d=1, n=3, m=2))) == 1
    for d, n, m in ((1, 0, 2), (3, 1, 2), (1, 3, 4), (1, 1, 2)):
        assert len(decoded(first, word("sha256h2", d=d, n=n, m=m))) == 2


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_undefined_without_the_feature_and_trapped_without_fp(v, row):
    instruction = word(row.key)
    others = (1 << 40) - 1 & ~int(row.feature)
    assert operations(np.array([instruction], "u4"), 0, 1, others)[0] == (0, "undefined")
    out = v.guest.run([instruction], regs={"CPACR_EL1": 0})
    assert out.regs["ESR_EL1"] >> 26 == 0x07
    assert out.regs["ELR_EL1"] == out.code
