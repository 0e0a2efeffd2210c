from typing import Any

from saecore.a64.encodings import OPS as OPS

def fill_forwarding() -> None: ...
def operations(
    words: Any, va: int = 0, el: int = 1, features: int = ..., guarded: bool = False
) -> list[tuple[int, str]]: ...
