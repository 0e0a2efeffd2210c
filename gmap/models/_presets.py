"""Models to begin with. Floor 4.

Their sizes are round numbers of the order that processors have, and are no particular processor's.
"""

from functools import cache
from os import PathLike, fspath

from gmap.errors import ConfigError
from gmap.models._config import Model, Tlb, Walk, WalkCache
from gmap.models._toml import read_model

__all__ = ["PRESETS", "model", "presets"]

#: Entry shifts of an arm64 guest with 4 KiB pages and addresses of 48 bits.
ARM64_4K_SHIFTS = (12, 21, 30, 39)
SIZES = ("4K", "64K", "1M", "2M", "1G", "2G")


def _small() -> Model:
    """One level of two TLBs and no walk caches."""
    return Model(
        "small",
        l1=Tlb(4, 4, ("4K", "64K"), name="L1"),
        l2=Tlb(64, 4, ("4K", "64K", "1M", "2M"), "plru", name="L2"),
    )


def _server() -> Model:
    """Walks of one dimension: what the gmap's own tables cost."""
    return Model(
        "server",
        l1=(
            Tlb(16, 4, ("4K", "64K"), name="L1D"),
            Tlb(8, 4, ("1M", "2M"), name="L1D-huge"),
            Tlb(1, 8, ("1G", "2G"), name="L1D-giant"),
        ),
        l1i=Tlb(16, 4, ("4K", "64K", "1M", "2M"), name="L1I"),
        l2=(
            Tlb(256, 8, ("4K", "64K", "1M", "2M"), name="L2"),
            Tlb(1, 16, ("1G", "2G"), name="L2-giant"),
        ),
        walk=Walk(stage2_caches=_SERVER_CACHES),
    )


_SERVER_CACHES = (
    WalkCache(1, sets=8, ways=4),
    WalkCache(2, sets=1, ways=8),
    WalkCache(3, sets=1, ways=4),
)


def _guest() -> Model:
    """The same TLBs over walks of two dimensions: an arm64 guest on the gmap."""
    return _server().changed(
        name="guest",
        walk=Walk(
            stage1=ARM64_4K_SHIFTS,
            stage1_caches=_SERVER_CACHES,
            stage2_caches=_SERVER_CACHES,
            nested=Tlb(16, 4, SIZES, name="nested"),
        ),
    )


def _bare() -> Model:
    """A TLB of one entry and no walk caches: nearly every access is a whole walk."""
    return Model("bare", l1=Tlb(1, 1, SIZES, name="L1"), walk=Walk(stage1=ARM64_4K_SHIFTS))


#: What makes each of them.
PRESETS = {"small": _small, "server": _server, "guest": _guest, "bare": _bare}


@cache
def presets() -> dict[str, Model]:
    """Return the models that come with this package, by name.

    >>> sorted(presets())
    ['bare', 'guest', 'server', 'small']
    """
    return {name: make() for name, make in PRESETS.items()}


def model(name_or_path: str | PathLike[str] | Model) -> Model:
    """Return a preset by its name, the model of a TOML file, or a model as it is.

    Raises
    ------
    ConfigError
        If it is neither a preset's name nor the name of a ``.toml`` file.
    ModelFileError
        If the file is malformed.

    >>> model("server").l2[0].entries
    2048
    """
    if isinstance(name_or_path, Model):
        return name_or_path
    if not isinstance(name_or_path, str | PathLike):
        raise ConfigError(f"a model is a Model, a preset or a TOML file, got {name_or_path!r}")
    name = fspath(name_or_path)
    if name in PRESETS:
        return presets()[name]
    if not name.endswith(".toml"):
        raise ConfigError(
            f"no model {name!r}: use {', '.join(PRESETS)}, or the name of a .toml file"
        )
    return read_model(name)
