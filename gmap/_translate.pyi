from typing import Any

class Plan:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
