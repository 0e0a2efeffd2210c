"""Runs programs on both processors and compares what came of them, case by case."""

from collections import Counter
from dataclasses import dataclass, field

import a64_words
import capstone
import numpy as np
from a64_fp_state import FPCR_FZ16
from a64_state import DATA, DATA_PAGES, PAGE, SLOT, SLOTS, SYSTEM_REGISTERS
from a64_words import NOP, START, make_programs, make_states, name_of

from saecore._defs import Feature

_NAMES = list(SYSTEM_REGISTERS)
_TAKEN_WRITES = [_NAMES.index(n) for n in ("ELR_EL1", "SPSR_EL1", "ESR_EL1", "FAR_EL1")]
#: Groups of encodings that neither access memory nor branch.
STILL = {"data", "fp", "vector", "vector_fp", "crypto"}
_ENOUGH = 20  # unexplained cases; then a campaign stops
_CAPSTONE = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)


def disassemble(word, address=0):
    found = list(_CAPSTONE.disasm(int(word).to_bytes(4, "little"), address))
    return f"{found[0].mnemonic} {found[0].op_str}" if found else "(unknown)"


def _stays(word):
    """Whether a word is one of the short branches a slot is filled with."""
    return 0x14000000 <= word < 0x14000020


@dataclass
class Case:
    """A program, the state it starts from, and what both made of it."""

    words: np.ndarray
    state: np.void
    start: int
    ours: np.void
    theirs: np.void
    memory: list  # addresses of bytes that differ

    @property
    def body(self):
        """Its instructions, without those that fill the slot."""
        return [word for word in self.words[START + 1 :] if word != NOP and not _stays(int(word))]

    @property
    def differs(self):
        return bool(self.memory) or self.ours.tobytes() != self.theirs.tobytes()

    def report(self):
        lines = [
            f"from pc {self.start:#x} pstate {int(self.state['pstate']):#x} "
            f"fpcr {int(self.state['fpcr']):#x} fpsr {int(self.state['fpsr']):#x}"
        ]
        for position, word in enumerate(self.words[START + 1 :], START + 1):
            if word != NOP and not _stays(int(word)):
                address = self.start + 4 * (position - START)
                lines.append(f"  {address:#x}: {word:08x} {disassemble(word, address)}")
        for name in ("took", "esr", "far"):
            lines += self._difference(name, self.ours[name], self.theirs[name], None)
        for name in self.state.dtype.names:
            lines += self._difference(
                name, self.ours["state"][name], self.theirs["state"][name], self.state[name]
            )
        if self.memory:
            lines.append(f"  memory differs at {[hex(at) for at in self.memory[:8]]}")
        return "\n".join(lines)

    @staticmethod
    def _difference(name, ours, theirs, before):
        lines = []
        for at in np.ndindex(np.shape(ours)):
            if ours[at] != theirs[at]:
                which = f"{name}{list(at)}" if at else name
                if name == "system":
                    which = _NAMES[at[0]]
                was = "" if before is None else f", was {int(before[at]):#x}"
                lines.append(f"  {which}: ours {int(ours[at]):#x} theirs {int(theirs[at]):#x}{was}")
        return lines


@dataclass
class Tally:
    """What came of a campaign."""

    programs: int = 0
    insns: int = 0
    rows: Counter = field(default_factory=Counter)  # executed instructions by row
    classes: Counter = field(default_factory=Counter)  # exceptions by class
    excused: Counter = field(default_factory=Counter)
    explained: Counter = field(default_factory=Counter)  # excused cases by row they show
    unexplained: list = field(default_factory=list)

    def table(self, rows):
        """A line for each group of rows: how many there are, what was executed, what came of it."""
        rows = tuple(rows)
        names = ("group", "encodings", "executed", "executions", "differences", "explained")
        lines = [names]
        differ = Counter(
            key for case in self.unexplained for key in {name_of(rows, int(w)) for w in case.body}
        )
        for group in dict.fromkeys(row.group for row in rows):
            keys = [row.key for row in rows if row.group == group]
            counts = [sum(map(counter.__getitem__, keys))
                      for counter in (self.rows, differ, self.explained)]
            executed = sum(key in self.rows for key in keys)
            lines.append((group, str(len(keys)), str(executed), *map(str, counts)))
        return "\n".join(f"{line[0]:12}" + "".join(f"{at:>13}" for at in line[1:])
                         for line in lines)

    def report(self):
        lines = [f"{self.programs} programs, {self.insns} instructions, "
                 f"{len(self.unexplained)} unexplained"]
        lines += [f"  excused by {rule}: {count}" for rule, count in self.excused.most_common()]
        lines += [f"  exception class {ec:#x}: {n}" for ec, n in sorted(self.classes.items())]
        return "\n".join(lines + [case.report() for case in self.unexplained[:5]])


class Bench:
    """Both processors, and the programs they are given."""

    def __init__(self, ours, theirs, rows, rules=()):
        self.ours, self.theirs, self.rows, self.rules = ours, theirs, rows, rules
        #: Rows without memory accesses: memory is looked at once per load of programs.
        self.still = set(rows.groups) <= STILL
        self.fp16 = Feature.FP16 in ours.model.flags

    def data(self, machine):
        return machine.at(DATA, DATA_PAGES * PAGE)

    def run(self, programs, states, pristine):
        """Outcomes of both, and for each program whether memory differs."""
        words = programs.words
        mine, other = self.data(self.ours), self.data(self.theirs)
        memory = np.zeros(len(states), bool)
        outs = [[], []]
        for first in range(0, len(states), SLOTS):
            part = slice(first, first + SLOTS)
            ends = programs.ends[part].tolist()
            for machine in (self.ours, self.theirs):
                machine.load(programs.base, words[part].ravel())
                machine.prepare(states[part], ends)
            for number in range(len(ends)):
                if number == 0 or not self.still:
                    mine[:] = pristine
                    other[:] = pristine
                self.theirs.step(number)
                self.ours.step(number)
                if not self.still:
                    memory[first + number] = mine.tobytes() != other.tobytes()
            if self.still:
                memory[part] = mine.tobytes() != other.tobytes()
            for out, machine in zip(outs, (self.ours, self.theirs), strict=True):
                out.append(machine.outcomes())
        ours, theirs = (np.concatenate(out) for out in outs)
        for out in (ours, theirs):
            if not self.fp16:
                out["state"]["fpcr"] &= np.uint64(0xFFFF_FFFF ^ FPCR_FZ16)
            gone = out["took"] != 0
            out["state"]["system"][np.ix_(gone, _TAKEN_WRITES)] = 0
        return ours, theirs, memory

    def one(self, words, state, base, pristine):
        """A single program, as a case."""
        programs = a64_words.Programs(words[None], np.ones(1, int), np.zeros((1, 16), int), base)
        ours, theirs, memory = self.run(programs, state[None], pristine)
        addresses = []
        if memory[0]:
            differ = np.nonzero(self.data(self.ours) != self.data(self.theirs))[0]
            addresses = (DATA + differ).tolist()
        return Case(words, state, int(state["pc"]), ours[0], theirs[0], addresses)

    def each(self, words, state, base, pristine):
        """Cases of the single instructions of a straight program that differ.

        Each starts from the state ours has come to.
        """
        cases = []
        for position in range(START + 1, START + 1 + a64_words.MAX_INSNS):
            alone = words.copy()
            alone[START + 1 : START + 1 + a64_words.MAX_INSNS] = NOP
            alone[START + 1] = words[position]
            state = state.copy()
            state["pc"] = base + 4 * START
            case = self.one(alone, state, base, pristine)
            if case.differs:
                cases.append(case)
            if case.ours["took"] or _stays(int(words[position])):
                break
            state = case.ours["state"]
        return cases

    def shrink(self, words, state, base, pristine):
        """The fewest instructions of a program that still make a difference."""
        words = words.copy()
        if not self.one(words, state, base, pristine).differs:
            return None
        for position in range(START + 1, START + 1 + a64_words.MAX_INSNS):
            trial = words.copy()
            trial[position] = NOP
            if self.one(trial, state, base, pristine).differs:
                words = trial
        return self.one(words, state, base, pristine)

    def batch(self, rng, tally, count=SLOTS, levels=("el0", "el1h", "el1t"), **options):
        """Make and run `count` programs; sort the differences."""
        features = int(self.ours.model.flags) if self.still else None
        programs = make_programs(rng, self.rows, count, features=features, **options)
        states = make_states(rng, programs, levels, self.fp16)
        pristine = rng.integers(0, 256, DATA_PAGES * PAGE, dtype="u1")
        ours, theirs, memory = self.run(programs, states, pristine)
        tally.programs += count
        self._count(tally, programs, theirs)
        whole = f"V{ours.itemsize}"
        differ = memory | (ours.view(whole) != theirs.view(whole))
        for number in np.nonzero(differ)[0]:
            if len(tally.unexplained) >= _ENOUGH:
                break
            # Alone, in the slot it had before.
            base = programs.base + SLOT * (int(number) % SLOTS)
            start = programs.words[number], states[number], base, pristine
            case = self.one(*start)
            rule = self._rule(case, pristine, shrunk=False)
            if rule is None and self.still:
                self._sort_each(tally, self.each(*start), pristine)
                continue
            if rule is None:
                case = self.shrink(*start)
                rule = case and self._rule(case, pristine, shrunk=True)
            self._sort(tally, case, rule)

    def _sort(self, tally, case, rule):
        if case is None:
            tally.excused["gone when run alone"] += 1
        elif rule is None:
            tally.unexplained.append(case)
        else:
            tally.excused[rule.name] += 1
            for key in {name_of(self.rows.rows, int(word)) for word in case.body}:
                tally.explained[key] += 1

    def _sort_each(self, tally, cases, pristine):
        """The differences of a program's instructions, or that there is none: `cases`."""
        for case in cases or [None]:
            self._sort(tally, case, case and self._rule(case, pristine, shrunk=True))

    def _rule(self, case, pristine, shrunk):
        rules = (rule for rule in self.rules if rule.shrunk == shrunk or shrunk)
        return next((rule for rule in rules if rule.explains(case, self, pristine)), None)

    def _count(self, tally, programs, theirs):
        """How many instructions were executed, as far as nothing branched: a lower bound."""
        took = theirs["took"] != 0
        where = (theirs["state"]["pc"].astype("i8") - programs.starts) // 4 - 1
        stop = np.where(took, where + 1, programs.lengths).clip(0, programs.lengths)
        ran = np.arange(programs.which.shape[1]) < stop[:, None]
        body = programs.words[:, START + 1 : START + 1 + a64_words.MAX_INSNS]
        # Behind the first branch nobody counts.
        branch = ((body & 0x1C000000) == 0x14000000) & ((body & 0xFFC00000) != 0xD5000000)
        ran &= np.cumsum(branch, axis=1) - branch == 0
        tally.insns += int(ran.sum())
        keep = ran & (body != NOP) & (programs.which >= 0)
        counts = np.bincount(programs.which[keep], minlength=len(self.rows.rows))
        tally.rows.update({self.rows.rows[n].key: int(c) for n, c in enumerate(counts) if c})
        for ec in (theirs["esr"][took] >> np.uint64(26)).tolist():
            tally.classes[ec] += 1
