from saecore.a64.encodings import OPS as OPS
from saecore.a64.encodings.branches import COMPARED as COMPARED
from saecore.a64.encodings.branches import FUSED as FUSED
from saecore.a64.encodings.data import CONDITIONS as CONDITIONS

def fill_families() -> None: ...
