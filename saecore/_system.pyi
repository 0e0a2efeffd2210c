# System registers and instructions; nothing for Python.
