# Nothing for Python: kernels (see the .pxd).
