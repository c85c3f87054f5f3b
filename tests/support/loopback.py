"""Addresses of the loopback that no other client knows: a port alone may be reused for another server.

A client that outlives its server keeps asking at the address it was given. When the kernel gives that port to the
server of another test, on a machine where several suites run, the foreign request is counted as one of the test's
own. An address out of sixteen million, with the port, is given to one client only.
"""

import secrets
import sys


def own_address() -> str:
    """Give a fresh address; where the system has only 127.0.0.1, that one."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
