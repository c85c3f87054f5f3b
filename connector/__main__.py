"""`python -m connector` is the same program as the console script, for places where scripts are not on the PATH."""

import sys

from connector.cli import main

if __name__ == "__main__":
    sys.exit(main())
