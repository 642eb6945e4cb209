"""``python -m studykit``: the command line, where its script is not on the path."""

import sys

from studykit.cli import main

sys.exit(main())
