# Kernels only: nothing here is for Python.
from gmap.dtypes import LEAF as LEAF
