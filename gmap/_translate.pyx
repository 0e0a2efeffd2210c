# cython: binding=False
"""Translation of many addresses at once: a NumPy ufunc for each address space. Floor 3.

Addresses go through the walk in groups. A group inside one segment needs one walk and
then one table read an address. For any other group every walk is made as far as the
page-table slot, which is prefetched; the slots are read afterwards, so that the misses
of a whole group are under way together. Single walks one after another cost several
times as much once the tables outgrow the caches (docs/performance.md).

Each stretch runs inside the address space's `tlb` section, which an unmapping waits for.
"""

cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint16_t, uint64_t

import numpy as np

from gmap._address cimport as_u64
from gmap._atomic cimport likely, load, load_entry, prefetch
from gmap._defs cimport (
    LEVEL_PAGE, PAGE_SHIFT, PAGE_SIZE, PT_ENTRIES, PTE_PFRA, SEGMENT_SHIFT,
)
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._walk cimport (
    dat_walk, dat_walk_cached, dat_walk_t, leaf_translate, pte_refuses, pte_translate,
    walk_cache_clear, walk_cache_t,
)

from gmap.errors import AddressTypeError

cnp.import_array()
cnp.import_ufunc()

cdef extern from *:
    """
    #include <numpy/dtype_api.h>
    #include <numpy/ufuncobject.h>
    """
    ctypedef void (*old_loop_t)(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps,
                                void *data) noexcept nogil
    ctypedef struct ufunc_t "PyUFuncObject":
        old_loop_t *functions
        void **data
        PyObject *obj
    ctypedef struct ufunc_context_t "PyArrayMethod_Context":
        PyObject *caller
    ctypedef struct dtype_t "PyArray_DTypeMeta":
        pass
    ctypedef struct slot_t "PyType_Slot":
        int slot
        void *pfunc
    ctypedef enum ufunc_flags_t "NPY_ARRAYMETHOD_FLAGS":
        NPY_METH_REQUIRES_PYAPI
        NPY_METH_NO_FLOATINGPOINT_ERRORS
    int NPY_METH_strided_loop
    ctypedef struct loop_spec_t "PyArrayMethod_Spec":
        const char *name
        int nin
        int nout
        cnp.NPY_CASTING casting
        ufunc_flags_t flags
        dtype_t **dtypes
        slot_t *slots
    int PyUFunc_AddLoopFromSpec(object ufunc, loop_spec_t *spec) except -1
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1
    object PyCapsule_New(void *pointer, const char *name, void *destructor)


cdef enum:
    GROUP = 64          # walks under way at once, a power of two
    STRETCH = 4096      # addresses translated in one section
    GAPS = 256          # addresses taken at once from an array that is not contiguous


ctypedef struct plan_t:
    cnp.PyUFuncGenericFunction function[1]
    void *data[1]
    char types[3]


# --- the kernel -----------------------------------------------------------------------------

cdef inline void one_segment(
    uint64_t asce, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic, uint64_t n
) noexcept nogil:
    """A group whose addresses all lie in one segment."""
    cdef dat_walk_t walk
    cdef uint64_t pte, i
    cdef const uint64_t *table
    cdef int code = dat_walk(asce, gpa[0], LEVEL_PAGE, &walk)
    if code or walk.ptep == NULL:
        for i in range(n):
            finish_above(code, &walk, gpa[i], write, &pa[i], &pic[i])
        return
    table = walk.ptep - <Py_ssize_t>((gpa[0] >> PAGE_SHIFT) & (PT_ENTRIES - 1))
    for i in range(n):
        pte = load(table + ((gpa[i] >> PAGE_SHIFT) & (PT_ENTRIES - 1)))
        finish(pte, gpa[i], walk.protect, write, &pa[i], &pic[i])


cdef inline void finish_above(int code, dat_walk_t *walk, uint64_t gpa, bint write, uint64_t *pa,
                              uint16_t *pic) noexcept nogil:
    """What a walk that met no page table makes of an address, which `pa` may overwrite."""
    pa[0] = 0
    pic[0] = <uint16_t>(code if code else leaf_translate(walk.crste, gpa, walk.protect, write, pa))


cdef inline void finish(uint64_t pte, uint64_t gpa, uint64_t protect, bint write, uint64_t *pa,
                        uint16_t *pic) noexcept nogil:
    """What a page-table entry makes of an address."""
    if likely(not pte_refuses(pte, protect, write)):
        pa[0] = (pte & PTE_PFRA) | (gpa & (PAGE_SIZE - 1))
        pic[0] = 0
        return
    pa[0] = 0
    pic[0] = <uint16_t>pte_translate(pte, gpa, protect, write, pa)


# Walks under way, by the index of their address modulo GROUP.
cdef struct walks_t:
    uint64_t *ptep[GROUP]       # NULL: ended above the page tables, and finished
    uint64_t protect[GROUP]


cdef inline void begin(uint64_t asce, walk_cache_t *cache, walks_t *walks, bint write,
                       const uint64_t *gpa, uint64_t *pa, uint16_t *pic, uint64_t i) noexcept nogil:
    """Walk to the page-table entry of address `i` and ask for it."""
    cdef dat_walk_t walk
    cdef uint64_t k = i & (GROUP - 1)
    cdef int code = dat_walk_cached(asce, gpa[i], cache, &walk)
    walks.ptep[k] = walk.ptep
    if write:
        walks.protect[k] = walk.protect
    if likely(walk.ptep != NULL):
        prefetch(walk.ptep)
    else:
        finish_above(code, &walk, gpa[i], write, &pa[i], &pic[i])


cdef inline void end(walks_t *walks, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic,
                     uint64_t i) noexcept nogil:
    """Finish the walk of address `i`, whose page-table entry has come by now."""
    cdef uint64_t k = i & (GROUP - 1)
    if likely(walks.ptep[k] != NULL):
        finish(load(walks.ptep[k]), gpa[i], walks.protect[k] if write else 0, write, &pa[i],
               &pic[i])


cdef inline void any_segments(
    uint64_t asce, walk_cache_t *cache, bint write, const uint64_t *gpa, uint64_t *pa,
    uint16_t *pic, uint64_t n
) noexcept nogil:
    """Unrelated addresses: the page-table entries of the next GROUP are always on the way."""
    cdef walks_t walks
    cdef uint64_t under_way = min(n, <uint64_t>GROUP)
    cdef uint64_t i
    for i in range(under_way):
        begin(asce, cache, &walks, write, gpa, pa, pic, i)
    for i in range(under_way, n):
        end(&walks, write, gpa, pa, pic, i - under_way)
        begin(asce, cache, &walks, write, gpa, pa, pic, i)
    for i in range(n - under_way, n):
        end(&walks, write, gpa, pa, pic, i)


cdef inline bint in_one_segment(const uint64_t *gpa, uint64_t n) noexcept nogil:
    cdef uint64_t apart = 0, i
    for i in range(1, n):
        apart |= gpa[0] ^ gpa[i]
    return apart >> SEGMENT_SHIFT == 0


cdef void translate_array(gmap_t *g, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic,
                          uint64_t n) noexcept nogil:
    cdef uint64_t at = 0, end, run, asce
    cdef unsigned int token
    cdef walk_cache_t cache
    cdef bint cache_ready
    while at < n:
        end = min(n, at + STRETCH)
        token = srcu_read_lock(&g.tlb)
        asce = load_entry(&g.asce)
        cache_ready = False
        while at < end:
            run = min(<uint64_t>GROUP, end - at)
            if in_one_segment(gpa + at, run):
                one_segment(asce, write, gpa + at, pa + at, pic + at, run)
            else:
                while at + run < end and not in_one_segment(
                        gpa + at + run, min(<uint64_t>GROUP, end - at - run)):
                    run += min(<uint64_t>GROUP, end - at - run)
                if not cache_ready:
                    walk_cache_clear(&cache)
                    cache_ready = True
                any_segments(asce, &cache, write, gpa + at, pa + at, pic + at, run)
            at += run
        srcu_read_unlock(&g.tlb, token)


cdef inline void translate_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps,
                                gmap_t *g, bint write) noexcept nogil:
    """The loop NumPy calls; arrays with gaps go through a buffer."""
    cdef uint64_t gpa[GAPS]
    cdef uint64_t pa[GAPS]
    cdef uint16_t pic[GAPS]
    cdef cnp.npy_intp at = 0, n, i
    if steps[0] == sizeof(uint64_t) and steps[1] == sizeof(uint64_t) and (
            steps[2] == sizeof(uint16_t)):
        translate_array(g, write, <const uint64_t *>args[0], <uint64_t *>args[1],
                        <uint16_t *>args[2], <uint64_t>dims[0])
        return
    while at < dims[0]:
        n = min(<cnp.npy_intp>GAPS, dims[0] - at)
        for i in range(n):
            gpa[i] = (<const uint64_t *>(args[0] + (at + i) * steps[0]))[0]
        translate_array(g, write, gpa, pa, pic, <uint64_t>n)
        for i in range(n):
            (<uint64_t *>(args[1] + (at + i) * steps[1]))[0] = pa[i]
            (<uint16_t *>(args[2] + (at + i) * steps[2]))[0] = pic[i]
        at += n


cdef void read_loop(char **args, cnp.npy_intp *dims, cnp.npy_intp *steps,
                    void *data) noexcept nogil:
    translate_loop(args, dims, steps, <gmap_t *>data, False)


cdef void write_loop(char **args, cnp.npy_intp *dims, cnp.npy_intp *steps,
                     void *data) noexcept nogil:
    translate_loop(args, dims, steps, <gmap_t *>data, True)


# --- what is not an array of uint64 ---------------------------------------------------------
#
# NumPy makes int64 of Python integers, float64 of [2**63, 1], objects of 2**64. Each gets a
# loop of its own that looks at the values first, so that a refusal can name one.

cdef inline void run_on(ufunc_context_t *context, char **args, const cnp.npy_intp *dims,
                        const cnp.npy_intp *steps) noexcept nogil:
    """The loop for uint64, on addresses that have been looked at."""
    cdef ufunc_t *ufunc = <ufunc_t *>context.caller
    ufunc.functions[0](args, dims, steps, ufunc.data[0])


cdef int signed_loop(ufunc_context_t *context, char **args, const cnp.npy_intp *dims,
                     const cnp.npy_intp *steps, void *aux) except -1 nogil:
    cdef cnp.npy_intp i
    cdef int64_t value
    for i in range(dims[0]):
        value = (<const int64_t *>(args[0] + i * steps[0]))[0]
        if value < 0:
            with gil:
                as_u64(value, "address", 0xFFFFFFFFFFFFFFFF)
    run_on(context, args, dims, steps)
    return 0


cdef int float_loop(ufunc_context_t *context, char **args, const cnp.npy_intp *dims,
                    const cnp.npy_intp *steps, void *aux) except -1 nogil:
    if dims[0]:
        with gil:
            as_u64((<const double *>args[0])[0], "address", 0xFFFFFFFFFFFFFFFF)
    return 0


cdef int object_loop(ufunc_context_t *context, char **args, const cnp.npy_intp *dims,
                     const cnp.npy_intp *steps, void *aux) except -1:
    cdef cnp.npy_intp i, one = 1
    cdef uint64_t address
    cdef char *single[3]
    cdef PyObject *value
    single[0] = <char *>&address
    for i in range(dims[0]):
        value = (<PyObject **>(args[0] + i * steps[0]))[0]
        address = as_u64(<object>value if value != NULL else None, "address", 0xFFFFFFFFFFFFFFFF)
        single[1] = args[1] + i * steps[1]
        single[2] = args[2] + i * steps[2]
        run_on(context, single, &one, steps)
    return 0


_UINT64, _INT64, _FLOAT64, _OBJECT, _UINT16 = (
    type(np.dtype(t)) for t in (np.uint64, np.int64, np.float64, object, np.uint16))


cdef void add_loop(object ufunc, object dtype, void *loop, int flags) except *:
    """Give a ufunc the loop for one more type of input."""
    cdef dtype_t *dtypes[3]
    cdef slot_t slots[2]
    cdef loop_spec_t spec
    dtypes[0] = <dtype_t *>dtype
    dtypes[1] = <dtype_t *>_UINT64
    dtypes[2] = <dtype_t *>_UINT16
    slots[0].slot = NPY_METH_strided_loop
    slots[0].pfunc = loop
    slots[1].slot = 0
    slots[1].pfunc = NULL
    spec.name = b"translate"
    spec.nin = 1
    spec.nout = 2
    spec.casting = cnp.NPY_NO_CASTING
    spec.flags = <ufunc_flags_t>(flags | NPY_METH_NO_FLOATINGPOINT_ERRORS)
    spec.dtypes = dtypes
    spec.slots = slots
    PyUFunc_AddLoopFromSpec(ufunc, &spec)


cdef int promote(PyObject *ufunc, PyObject **given, PyObject **signature,
                 PyObject **chosen) except -1:
    """Which loop takes an input that has none: called by NumPy."""
    cdef object scalar = getattr(<object>given[0], "type", None)
    cdef list loop
    cdef int i
    if scalar is None or not issubclass(scalar, np.number) or (
            issubclass(scalar, np.complexfloating)):
        raise AddressTypeError(
            f"{(<object>ufunc).__name__} takes addresses as unsigned integers, got "
            f"{getattr(scalar, '__name__', <object>given[0])}: convert them with gmap.as_addr(...)")
    if issubclass(scalar, np.unsignedinteger):
        loop = [_UINT64, _UINT64, _UINT16]
    elif issubclass(scalar, np.signedinteger):
        loop = [_INT64, _UINT64, _UINT16]
    else:
        loop = [_FLOAT64, _UINT64, _UINT16]
    for i in range(3):
        Py_INCREF(loop[i])
        chosen[i] = <PyObject *>loop[i]
    return 0


# --- the ufunc ------------------------------------------------------------------------------

cdef class Plan:
    """What NumPy keeps pointers to: it must live as long as the ufunc does."""

    cdef plan_t c
    cdef object owner
    cdef bytes name
    cdef bytes doc


_DOC = b"""%s(gpa, /, out=None, *, where=True) -> (pa, pic)

Translate guest addresses for %s.

Parameters
----------
gpa : array_like of uint64
    Guest addresses in bytes. Signed and Python integers are looked at first: a negative one
    is refused, as are floats.

Returns
-------
pa : uint64 array
    Host addresses in bytes, 0 where the translation failed.
pic : uint16 array
    Program interruption codes, 0 where it succeeded (`gmap.Pic`).

Notes
-----
A NumPy ufunc of this address space: it broadcasts, takes out= and where=, and lets other
threads run. An unmapping returns only when no call still uses what it removed.
"""


cdef object make_translate(gmap_t *g, bint write, object owner):
    """The ufunc of an address space; it keeps `owner` alive."""
    cdef Plan plan = Plan()
    cdef object ufunc
    plan.owner = owner
    plan.name = b"translate_write" if write else b"translate"
    plan.doc = _DOC % (plan.name, b"writing" if write else b"reading")
    plan.c.function[0] = <cnp.PyUFuncGenericFunction>(write_loop if write else read_loop)
    plan.c.data[0] = g
    plan.c.types[0] = plan.c.types[1] = cnp.NPY_UINT64
    plan.c.types[2] = cnp.NPY_UINT16
    ufunc = cnp.PyUFunc_FromFuncAndData(
        plan.c.function, plan.c.data, plan.c.types, 1, 1, 2, cnp.PyUFunc_None, plan.name, plan.doc,
        0)
    Py_INCREF(plan)
    (<ufunc_t *>ufunc).obj = <PyObject *>plan
    add_loop(ufunc, _INT64, <void *>signed_loop, 0)
    add_loop(ufunc, _FLOAT64, <void *>float_loop, 0)
    add_loop(ufunc, _OBJECT, <void *>object_loop, NPY_METH_REQUIRES_PYAPI)
    PyUFunc_AddPromoter(ufunc, (np.dtype, None, None),
                        PyCapsule_New(<void *>promote, b"numpy._ufunc_promoter", NULL))
    return ufunc
