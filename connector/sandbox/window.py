"""Counts requests in a rolling window, for the quota fault and for the fullest window that the judge reports."""

from collections import deque


class RollingWindow:
    """How many events lie in the last `seconds`, the newest included; an event exactly `seconds` old has left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.fullest = 0
        self._times: deque[float] = deque()

    def add(self, now: float) -> int:
        """Count one event at `now` (never before the last one) and return how many the window holds."""
        times = self._times
        times.append(now)
        first_inside = now - self.seconds
        while times[0] <= first_inside:
            times.popleft()
        count = len(times)
        self.fullest = max(self.fullest, count)
        return count

    def wait(self, limit: int, now: float) -> float:
        """Seconds until another event would be within `limit`; 0: now."""
        times = self._times
        while times and times[0] <= now - self.seconds:
            times.popleft()
        return times[-limit] + self.seconds - now if len(times) >= limit else 0.0
