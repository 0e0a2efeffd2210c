"""Profiles as Arrow tables and Parquet files. Floor 4; needs pyarrow."""

import json
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any, Final

from gmap.errors import ConfigError

__all__ = ["SECTIONS", "arrow_tables", "need", "write_parquet"]

#: The sections that are lists of rows, and so tables of Arrow, by their paths in `to_dict`.
SECTIONS: Final = {
    "levels": "levels",
    "leaf_sizes": "leaf_sizes",
    "holes": "holes.sizes",
    "nested_walks": "walk.nested",
    "faults": "faults.whole_slots",
    "tlb": "reach.tlb",
    "walk_cache": "reach.walk_cache",
    "blocks": "what_if.blocks",
    "page_sizes": "what_if.page_sizes",
    "ipa_sizes": "what_if.ipa_sizes",
    "native": "native",
    "slots": "guest.slots",
    "linear_map": "address_map.linear",
    "mapped_map": "address_map.mapped",
    "timeline": "timeline",
}


def need(package: str) -> None:
    """Refuse what needs a package that is not installed.

    Raises
    ------
    ConfigError
        It is not; the message says how to get it.
    """
    if find_spec(package) is None:
        raise ConfigError(f"this needs {package}: pip install {package}")


def arrow_tables(document: dict[str, Any]) -> dict[str, Any]:
    """Return the sections of a profile as tables; what is nested becomes JSON text.

    The name and the schema of the profile are in the metadata of each.
    """
    need("pyarrow")
    pyarrow = import_module("pyarrow")
    meta = {"profile": str(document["name"]), "schema": str(document["schema"])}
    tables = {"totals": pyarrow.Table.from_pylist([document["totals"]])}
    for name, path in SECTIONS.items():
        rows: Any = document
        for part in path.split("."):
            rows = rows[part]
        if rows:
            tables[name] = pyarrow.Table.from_pylist([_flat(row) for row in rows])
    return {name: table.replace_schema_metadata(meta) for name, table in tables.items()}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()
    }


def write_parquet(tables: dict[str, Any], directory: str | PathLike[str]) -> list[Path]:
    """Write each table to its file in a directory, which is made if need be."""
    parquet = import_module("pyarrow.parquet")
    base = Path(directory)
    base.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        path = base / f"{name}.parquet"
        parquet.write_table(table, path)
        written.append(path)
    return written
