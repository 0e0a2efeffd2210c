# The processor that executes SAE: what the facade's run loop uses. Floor 8.
from libc.stdint cimport uint64_t

from gmap._gmap cimport gmap_t
from saecore._block cimport sae_block_t, save_area_t
from saecore._processor cimport processor_t, trace_t


cdef processor_t *processor_new(gmap_t *gmap, uint64_t features) noexcept nogil
cdef void processor_free(processor_t *p) noexcept nogil
# LASRM and STIASRM: load the system registers of a save area; store them and forget them.
cdef void sae_lasrm(processor_t *p, const save_area_t *area) noexcept nogil
cdef void sae_stiasrm(processor_t *p, save_area_t *area) noexcept nogil
# SAE: run the guest of a control block until it is intercepted; block.icptr says why. Enters and
# leaves sections of the gmap's readers itself; the caller is in none.
cdef void sae_execute(processor_t *p, sae_block_t *block) noexcept nogil
# Nearly: one more instruction may not fit.
cdef bint trace_is_full(const trace_t *trace) noexcept nogil
# Instructions were changed in memory by somebody else (host, device): compare before running.
cdef void processor_code_changed(processor_t *p) noexcept nogil
