# Breakpoints, watchpoints and software step; nothing for Python.
