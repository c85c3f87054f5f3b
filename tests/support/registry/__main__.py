"""Prepares the real registry ahead of the tests, so that none of them waits for a download."""

import sys

from tests.support.java import prepare
from tests.support.registry.fetch import obtain

if __name__ == "__main__":
    sys.exit(prepare("Schema Registry", obtain))
