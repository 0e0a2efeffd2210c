"""Why an address goes where it goes: guests made from memory images. Floor 4."""

from gmap.explaining._guest import GuestImage, MemoryImage

__all__ = ["GuestImage", "MemoryImage"]
