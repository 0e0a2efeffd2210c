# cython: binding=False
"""NumPy ufuncs from addresses to (addresses, codes), over a C loop. Floor 1.

NumPy stores pointers to what it is given, so a ufunc holds a `Plan` that owns all of it. Inputs
that are no uint64 get loops of their own that look at the values first, so that a refusal can
name one.
"""

cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from gmap._address cimport as_u64

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


_UINT64, _INT64, _FLOAT64, _OBJECT = (
    type(np.dtype(t)) for t in (np.uint64, np.int64, np.float64, object))


cdef class Plan:
    """What NumPy keeps pointers to: it must live as long as the ufunc does."""

    cdef cnp.PyUFuncGenericFunction function[1]
    cdef void *data[1]
    cdef char types[4]
    cdef object owner
    cdef bytes name
    cdef bytes doc
    cdef object codes       # DType class of the codes


cdef void add_loop(object ufunc, Plan plan, object dtype, void *loop, int flags) except *:
    """Give a ufunc of one input the loop for one more type of it."""
    cdef dtype_t *dtypes[3]
    cdef slot_t slots[2]
    cdef loop_spec_t spec
    dtypes[0] = <dtype_t *>dtype
    dtypes[1] = <dtype_t *>_UINT64
    dtypes[2] = <dtype_t *>plan.codes
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
    cdef Plan plan = <Plan>(<ufunc_t *>ufunc).obj
    cdef list loop
    cdef int i
    if scalar is None or not issubclass(scalar, np.number) or (
            issubclass(scalar, np.complexfloating)):
        raise AddressTypeError(
            f"{(<object>ufunc).__name__} takes addresses as unsigned integers, got "
            f"{getattr(scalar, '__name__', <object>given[0])}: convert them with gmap.as_addr(...)")
    if issubclass(scalar, np.unsignedinteger):
        loop = [_UINT64, _UINT64, plan.codes]
    elif issubclass(scalar, np.signedinteger):
        loop = [_INT64, _UINT64, plan.codes]
    else:
        loop = [_FLOAT64, _UINT64, plan.codes]
    for i in range(3):
        Py_INCREF(loop[i])
        chosen[i] = <PyObject *>loop[i]
    return 0


cdef Plan new_plan(void *loop, void *data, object owner, bytes name, bytes doc, int codes):
    cdef Plan plan = Plan()
    plan.owner = owner
    plan.name = name
    plan.doc = doc
    plan.codes = type(cnp.PyArray_DescrFromType(codes))
    plan.function[0] = <cnp.PyUFuncGenericFunction>loop
    plan.data[0] = data
    return plan


cdef object keep_plan(object ufunc, Plan plan):
    Py_INCREF(plan)
    (<ufunc_t *>ufunc).obj = <PyObject *>plan
    return ufunc


cdef object make_address_ufunc(void *loop, void *data, object owner, bytes name, bytes doc,
                               int codes):
    """A ufunc from addresses to (uint64 addresses, codes of a NumPy type number).

    The ufunc keeps `owner` alive, which owns `data`.
    """
    cdef Plan plan = new_plan(loop, data, owner, name, doc, codes)
    cdef object ufunc
    plan.types[0] = plan.types[1] = cnp.NPY_UINT64
    plan.types[2] = <char>codes
    ufunc = keep_plan(cnp.PyUFunc_FromFuncAndData(
        plan.function, plan.data, plan.types, 1, 1, 2, cnp.PyUFunc_None, plan.name, plan.doc, 0),
        plan)
    add_loop(ufunc, plan, _INT64, <void *>signed_loop, 0)
    add_loop(ufunc, plan, _FLOAT64, <void *>float_loop, 0)
    add_loop(ufunc, plan, _OBJECT, <void *>object_loop, NPY_METH_REQUIRES_PYAPI)
    PyUFunc_AddPromoter(ufunc, (np.dtype, None, None),
                        PyCapsule_New(<void *>promote, b"numpy._ufunc_promoter", NULL))
    return ufunc


cdef object make_access_ufunc(void *loop, void *data, object owner, bytes name, bytes doc,
                              int codes):
    """A ufunc from (uint64 addresses, uint8 kinds of access); nothing else is looked at."""
    cdef Plan plan = new_plan(loop, data, owner, name, doc, codes)
    plan.types[0] = plan.types[2] = cnp.NPY_UINT64
    plan.types[1] = cnp.NPY_UINT8
    plan.types[3] = <char>codes
    return keep_plan(cnp.PyUFunc_FromFuncAndData(
        plan.function, plan.data, plan.types, 1, 2, 2, cnp.PyUFunc_None, plan.name, plan.doc, 0),
        plan)
