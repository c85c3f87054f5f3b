"""No test here starts a process, opens a socket or sleeps."""

from tests.support.in_memory import in_memory

__all__ = ["in_memory"]
