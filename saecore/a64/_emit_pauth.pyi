# Kernels only: nothing here is for Python.
