# Where branches may land; nothing for Python.
