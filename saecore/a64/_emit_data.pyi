from saecore.a64.encodings import OPS as OPS
from saecore.a64.encodings.data import CONDITIONS as CONDITIONS
from saecore.a64.encodings.data import SHIFTS as SHIFTS

def fill_families() -> None: ...
