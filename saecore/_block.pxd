# The control block and the save area (saecore/_layout.py). Floor 6.
from saecore._defs cimport sae_block_t, save_area_t
