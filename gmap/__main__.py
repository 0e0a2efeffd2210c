"""`python -m gmap` is the command `gmap`."""

import sys

from gmap.cli import main

sys.exit(main())
