# Emitter of the system instructions; it has nothing for Python.
