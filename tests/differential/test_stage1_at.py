"""The reference for stage 1 against Unicorn: what AT instructions and fetches say.

Where the two differ, a rule of `at_rules` has to explain it, and explain it to the bit.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import at
import at_rules
import pytest
import stage1_cases as cases
from at_rules import NAMES, OF_THE_REPORT, OF_THE_WALK, AsUnicorn, reported

from gmap.reference._stage1_par import PAR_F, PAR_FAULT_UNSPECIFIED, PAR_UNSPECIFIED, par_el1
from gmap.reference.stage1 import Access, Stage1Regime

#: Outcomes: a fault status code with PAR_EL1.F, or the level of the leaf.
FAULTS_OF_TABLES = {0x04, 0x05, 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F}
ADDRESS_SIZES = {0x00, 0x01, 0x02, 0x03}


@dataclass
class Tally:
    """What came of asking."""

    asked: int = 0
    agreed: Counter = field(default_factory=Counter)  # by outcome, without any rule
    excused: Counter = field(default_factory=Counter)  # by rule; a case may need several
    unexplained: list = field(default_factory=list)

    def report(self):
        agreed = sum(self.agreed.values())
        lines = [f"{self.asked} asked, {agreed} the same, {len(self.unexplained)} unexplained"]
        lines += [f"  {rule}: {count}" for rule, count in self.excused.most_common()]
        lines += [f"  {outcome}: {count}" for outcome, count in sorted(self.agreed.items())]
        return "\n".join(lines + [str(case) for case in self.unexplained[:5]])


class Asked:
    """One question, answered by the reference under any set of rules; each walk is done once."""

    def __init__(self, regimes, va, access, memory):
        self._regimes = regimes
        self._question = (va, access, memory)
        self._walks = {}

    def walk(self, rules=frozenset()):
        rules = rules & OF_THE_WALK
        if rules not in self._walks:
            self._walks[rules] = self._regimes[rules].walk(*self._question, probe=True)
        return self._walks[rules]

    def par(self, rules=frozenset()):
        walk = self.walk(rules)
        return reported(par_el1(self._regimes[frozenset()], walk), walk, rules)

    def arrives(self, rules=frozenset()):
        return self.walk(rules).ok


class Regimes(dict):
    """The same registers under any set of rules."""

    def __init__(self, kind, settings):
        super().__init__()
        self._make = partial(kind, **settings)

    def __missing__(self, rules):
        self[rules] = self._make(rules=rules)
        return self[rules]


def explain(answer, heard, asked, tally):
    """Sort one answer: the same, excused by rules that are needed for it, or unexplained."""
    tally.asked += 1
    if answer() == heard:
        return "agreed"
    if answer(NAMES) != heard:
        return "unexplained"
    candidates = NAMES if asked.walk() != asked.walk(NAMES) else OF_THE_REPORT
    needed = [name for name in candidates if answer(NAMES - {name}) != heard]
    # Where several would do, each alone explains it.
    needed = needed or [name for name in candidates if answer(frozenset({name})) == heard]
    tally.excused.update(needed or ["several together"])
    return "excused"


def specified(par):
    """PAR_EL1 without what the architecture leaves open."""
    return par & ~(PAR_FAULT_UNSPECIFIED if par & PAR_F else PAR_UNSPECIFIED)


def judge_translations(machine, seeds, kind=AsUnicorn, stop=False):
    """Ask every AT instruction about every address of some batches."""
    tally = Tally()
    for seed in seeds:
        batch = cases.make(seed, "unicorn")
        memory = cases.Memory(batch)
        answers = machine.ask(batch).tolist()
        for row, (registers, vas) in enumerate(batch.rows()):
            settings = {**registers, **batch.mmfr}
            regimes = {
                (el, pan): Regimes(kind, {**settings, "el": el, "pan": pan and registers["pan"]})
                for _, el, _, pan in at.QUESTIONS
            }
            for number, (name, el, access, pan) in enumerate(at.QUESTIONS):
                for column, va in enumerate(vas):
                    heard = specified(answers[row][column][number])
                    asked = Asked(regimes[el, pan], va, access, memory)
                    result = explain(asked.par, heard, asked, tally)
                    if result == "agreed":
                        fault = f"fault {heard >> 1 & 63:#04x}"
                        tally.agreed[fault if heard & PAR_F else f"level {asked.walk().level}"] += 1
                    elif result == "unexplained":
                        tally.unexplained.append((seed, row, name, hex(va), hex(heard)))
                        if stop:
                            return tally
    return tally


def judge_fetches(fetcher, seeds, kind=AsUnicorn, addresses=4):
    """Jump to some addresses of some batches, at EL0 and EL1."""
    tally = Tally()
    for seed in seeds:
        batch = cases.make(seed, "unicorn")
        memory = cases.Memory(batch)
        answers = fetcher.fetch(batch, addresses).tolist()
        for row, (registers, vas) in enumerate(batch.rows()):
            for el in (0, 1):
                regimes = Regimes(kind, {**registers, **batch.mmfr, "el": el})
                for column, va in enumerate(vas[:addresses]):
                    heard = answers[row][column][el]
                    asked = Asked(regimes, at.instruction_at(va), Access.FETCH, memory)
                    result = explain(asked.arrives, heard, asked, tally)
                    if result == "agreed":
                        tally.agreed["arrives" if heard else "aborts"] += 1
                    elif result == "unexplained":
                        tally.unexplained.append((seed, row, el, hex(va), heard))
    return tally


@pytest.fixture(scope="module")
def fetcher():
    return at.Fetcher()


@pytest.fixture(scope="module")
def machine():
    return at.Machine()


def test_unicorn_is_the_cpu_the_cases_are_made_for(machine):
    mmfr0, mmfr1, mmfr2 = cases.CPUS["unicorn"]
    tgran16 = 0xF << 20  # it walks 16K tables and does not say so
    fields0 = 0xF | 0xFF << 24 | tgran16
    assert mmfr0 & fields0 == machine.id_register(0) & fields0 | 1 << 20
    fields1 = 0xF | 0xF << 12 | 0xF << 20  # HAFDBS, HPDS, PAN
    assert mmfr1 == machine.id_register(1) & fields1
    fields2 = 0xF << 16 | 0xF << 28 | 0xF << 60  # VARange, ST, E0PD
    assert mmfr2 == machine.id_register(2) & fields2


def test_translations(machine):
    tally = judge_translations(machine, range(5))
    assert not tally.unexplained, tally.report()
    assert tally.asked >= 30_000
    assert sum(tally.agreed.values()) > tally.asked // 2, tally.report()
    # Unicorn checks address sizes only while stage 1 is off.
    expected = {f"fault {fsc:#04x}" for fsc in FAULTS_OF_TABLES | {0x00}}
    expected |= {f"level {level}" for level in (1, 2, 3)}
    assert expected <= set(tally.agreed), tally.report()


def test_fetches(fetcher):
    tally = judge_fetches(fetcher, range(6))
    assert not tally.unexplained, tally.report()
    assert tally.asked >= 3_000
    assert min(tally.agreed["arrives"], tally.agreed["aborts"]) > 200, tally.report()


@pytest.mark.campaign
def test_campaign_of_translations(machine):
    """More than a million; every rule must be needed, or it is no rule."""
    tally = judge_translations(machine, range(1000, 1180))
    print(tally.report())
    assert tally.asked >= 1_000_000
    assert not tally.unexplained, tally.report()
    assert set(tally.excused) - {"several together"} == NAMES, tally.report()


@pytest.mark.campaign
def test_campaign_of_fetches(fetcher):
    tally = judge_fetches(fetcher, range(1000, 1060), addresses=16)
    print(tally.report())
    assert tally.asked >= 100_000
    assert not tally.unexplained, tally.report()


# --- the judge judges ---------------------------------------------------------------------


class NoTablePermissions(AsUnicorn):
    def _rights(self, leaf):
        return super()._rights(leaf._replace(el0_denied=False, write_denied=False))


class NoAccessFlag(AsUnicorn):
    @property
    def _hardware_af(self):
        return True


class NoPan(AsUnicorn):
    def _pan_denies(self, read0, execute0):
        return False


class PanForAll(AsUnicorn):
    def _pan_denies(self, read0, execute0):
        return self.pan


class NoDisable(AsUnicorn):
    def _params(self, upper):
        params = super()._params(upper)
        return params._replace(half=params.half._replace(epd=False))


class NoTags(AsUnicorn):
    def _params(self, upper):
        params = super()._params(upper)
        return params._replace(half=params.half._replace(tbi=False))


class TablePermissionsAlways(AsUnicorn):
    def _params(self, upper):
        params = super()._params(upper)
        return params._replace(half=params.half._replace(hpd=False))


class LittleEndian(AsUnicorn):
    def _ordered(self, word):
        return word


class NoWxn(AsUnicorn):
    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "sctlr", self.sctlr & ~(1 << 19))


class SwappedNever(AsUnicorn):
    """UXN for PXN and the other way round."""

    def _rights(self, leaf):
        word = leaf.step.descriptor
        swapped = word & ~(3 << 53) | (word >> 53 & 1) << 54 | (word >> 54 & 1) << 53
        return super()._rights(leaf._replace(step=leaf.step._replace(descriptor=swapped)))


@pytest.mark.parametrize(
    "wrong",
    [NoTablePermissions, NoAccessFlag, NoPan, PanForAll, NoDisable, NoTags,
     TablePermissionsAlways, LittleEndian],
)
def test_a_wrong_reference_is_found(machine, wrong):
    assert judge_translations(machine, range(3), wrong, stop=True).unexplained


@pytest.mark.parametrize("wrong", [NoWxn, SwappedNever])
def test_a_wrong_reference_is_found_by_fetches(fetcher, wrong):
    assert judge_fetches(fetcher, range(3), wrong).unexplained


# --- the cases reach what there is --------------------------------------------------------

EVERY_FAULT = ADDRESS_SIZES | FAULTS_OF_TABLES
LEVEL_0_LEAVES = {0x08, 0x0C}
LEVEL_MINUS_1 = {0x29, 0x2B}


@pytest.mark.parametrize(
    ("cpu", "faults", "levels", "seeds"),
    [
        ("default", EVERY_FAULT, {1, 2, 3}, 3),
        ("52-bit", EVERY_FAULT | LEVEL_0_LEAVES | LEVEL_MINUS_1, {0, 1, 2, 3}, 8),
        ("lpa", EVERY_FAULT, {1, 2, 3}, 3),
        # 64K tables alone: levels 1 to 3, blocks at level 2.
        ("small", EVERY_FAULT - {0x09, 0x0D}, {2, 3}, 3),
    ],
)
def test_cases_reach_every_outcome(cpu, faults, levels, seeds):
    found, leaves = Counter(), Counter()
    for seed in range(seeds):
        batch = cases.make(seed, cpu)
        memory = cases.Memory(batch)
        for registers, vas in batch.rows():
            regime = Stage1Regime(**registers, el=seed & 1, **batch.mmfr)
            for va in vas:
                walk = regime.walk(va, va >> 12 & 1, memory, probe=True)
                if walk.ok:
                    leaves[walk.level] += bool(walk.steps)
                else:
                    found[walk.fsc] += 1
    assert set(found) == faults
    assert {level for level, count in leaves.items() if count} == levels


def test_a_seed_is_a_batch():
    one, again, other = cases.make(1), cases.make(1), cases.make(2)
    assert (one.words == again.words).all()
    assert one.registers == again.registers
    assert (one.words != other.words).any()


def test_the_rules_are_documented():
    text = (cases.DOCS / "stage1.md").read_text()
    missing = [rule.name for rule in at_rules.RULES if f"`{rule.name}`" not in text]
    assert not missing
