"""One cache: sets, ways, replacement. Floor 4.

A TLB, a page-walk cache and a nested TLB differ in what they hold, not in how they hold it, so
this file is all there is to know about any of them. All caches of a model live in two arrays:

`rows`
    One row a cache (`gmap._numba.state.Row`): its shape, its state, its counters.
`sets`
    The sets of all caches, one after another. A set is a word of marks and then its ways. A way
    holds a tag, or `NOBODY`.

To add a rule of replacement, give it a number here and a name in `gmap.models.REPLACEMENTS`, and
say in `_victim` which way of a full set makes room and in `_touch` what a hit or a fill changes.
"""

from typing import Final

import numpy as np

from gmap._numba._kernel import Word, Words, kernel
from gmap._numba.state import NOBODY, ONE, ZERO, Row

__all__ = ["FIFO", "LRU", "NRU", "PLRU", "RANDOM", "access", "remove"]

LRU: Final = np.uint64(0)
FIFO: Final = np.uint64(1)
RANDOM: Final = np.uint64(2)
PLRU: Final = np.uint64(3)
NRU: Final = np.uint64(4)

_FIRST: Final = np.uint64(Row.FIRST)
_MASK: Final = np.uint64(Row.MASK)
_WAYS: Final = np.uint64(Row.WAYS)
_POLICY: Final = np.uint64(Row.POLICY)
_LATEST: Final = np.uint64(Row.LATEST)
_RANDOM: Final = np.uint64(Row.RANDOM)
_HITS: Final = np.uint64(Row.HITS)
_MISSES: Final = np.uint64(Row.MISSES)
_EVICTIONS: Final = np.uint64(Row.EVICTIONS)
_REMOVALS: Final = np.uint64(Row.REMOVALS)


@kernel
def access(rows: Words, sets: Words, cache: Word, number: Word, tag: Word) -> tuple[bool, Word]:
    """Look a tag up, and put it in if it is not there.

    `number` chooses the set: what the tag stands for, counted in units of the entry. Returns
    whether the tag was there, and the tag that made room for it (`NOBODY`: none had to).
    """
    # Using an entry twice in a row changes nothing, by any of the rules below.
    if rows[cache, _LATEST] == tag:
        rows[cache, _HITS] += ONE
        return True, NOBODY
    rows[cache, _LATEST] = tag
    ways = rows[cache, _WAYS]
    mark = rows[cache, _FIRST] + (number & rows[cache, _MASK]) * (ways + ONE)
    first = mark + ONE
    end = first + ways
    policy = rows[cache, _POLICY]

    if policy == LRU:
        # The ways are in order of use, so one pass does it: the tag goes to the front, and each
        # of the others one place down, until the gap that the tag left or the last falls out.
        # Going through all ways takes less than a branch that is guessed wrong at the gap.
        moved = tag
        found = False
        for way in range(first, end):
            here = sets[way]
            sets[way] = here if found else moved
            moved = here
            found |= here == tag
        if found:
            rows[cache, _HITS] += ONE
            return True, NOBODY
        victim = moved
    elif policy == FIFO:
        # The ways are in order of arrival.
        for way in range(first, end):
            if sets[way] == tag:
                rows[cache, _HITS] += ONE
                return True, NOBODY
        victim = sets[end - ONE]
        moved = tag
        for way in range(first, end):
            here = sets[way]
            sets[way] = moved
            moved = here
    else:
        empty = ways
        for way in range(ways):
            here = sets[first + way]
            if here == tag:
                _touch(sets, mark, ways, policy, way)
                rows[cache, _HITS] += ONE
                return True, NOBODY
            if here == NOBODY:
                empty = way
        slot = empty if empty < ways else _victim(rows, sets, cache, mark, ways, policy)
        victim = sets[first + slot]
        sets[first + slot] = tag
        _touch(sets, mark, ways, policy, slot)

    rows[cache, _MISSES] += ONE
    if victim != NOBODY:
        rows[cache, _EVICTIONS] += ONE
    return False, victim


@kernel
def _victim(rows: Words, sets: Words, cache: Word, mark: Word, ways: Word, policy: Word) -> Word:
    """The way of a full set that makes room."""
    if policy == RANDOM:
        return (_draw(rows, cache) >> np.uint64(32)) * ways >> np.uint64(32)
    marks = sets[mark]
    if policy == PLRU:
        # A tree of bits over the ways; node n has the children 2n and 2n + 1, and its bit is
        # the half to be replaced next.
        node: Word = ONE
        while node < ways:
            node = node << ONE | (marks >> node & ONE)
        return node - ways
    # NRU: the first way that has not been used for a while.
    for way in range(ways):
        if marks >> way & ONE == ZERO:
            return way
    return ZERO


@kernel
def _touch(sets: Words, mark: Word, ways: Word, policy: Word, way: Word) -> None:
    """Remember that a way was used. FIFO and RANDOM do not care."""
    if policy == PLRU:
        # Every node on the way up points to the half this is not in.
        node = way + ways
        marks = sets[mark]
        while node > ONE:
            parent = node >> ONE
            marks = (marks & ~(ONE << parent)) | ((~node & ONE) << parent)
            node = parent
        sets[mark] = marks
    elif policy == NRU:
        # A bit a way; when the last of them is set, the others begin anew.
        marks = sets[mark] | ONE << way
        sets[mark] = ONE << way if marks == (ONE << ways) - ONE else marks


@kernel
def _draw(rows: Words, cache: Word) -> Word:
    """The next number of the cache's generator: Marsaglia's xorshift64* (Vigna 2016)."""
    state = rows[cache, _RANDOM]
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    rows[cache, _RANDOM] = state
    return state * np.uint64(0x2545F4914F6CDD1D)


@kernel
def remove(rows: Words, sets: Words, cache: Word, number: Word, tag: Word) -> None:
    """Take a tag out, if it is there."""
    if rows[cache, _LATEST] == tag:
        rows[cache, _LATEST] = NOBODY
    ways = rows[cache, _WAYS]
    mark = rows[cache, _FIRST] + (number & rows[cache, _MASK]) * (ways + ONE)
    first = mark + ONE
    end = first + ways
    policy = rows[cache, _POLICY]
    for way in range(first, end):
        if sets[way] == tag:
            rows[cache, _REMOVALS] += ONE
            if policy in (LRU, FIFO):
                # These keep their empty ways at the end.
                for following in range(way + ONE, end):
                    sets[following - ONE] = sets[following]
                sets[end - ONE] = NOBODY
            else:
                sets[way] = NOBODY
                if policy == NRU:
                    sets[mark] &= ~(ONE << (way - first))
            return
