# The counter and the timers; nothing for Python.
