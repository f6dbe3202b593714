"""Token buckets: how fast one caller may go. Bounded in number; the clock is an argument."""

RATE_KEYS_MAX = 10_000  # callers that are remembered; full buckets are forgotten first


class RateLimit:
    """Lets each key pass `per_s` times a second, with a burst of as many. Instants: seconds of a clock that never runs back."""

    def __init__(self, *, per_s: int, keys_max: int = RATE_KEYS_MAX) -> None:
        self._per_s = per_s
        self._keys_max = keys_max
        self._filled_until: dict[str, float] = {}

    def allows(self, key: str, now_s: float) -> bool:
        """Takes one token of the key's; False if there is none."""
        # One number a key: the instant at which the bucket is full again. Each token moves it on by its own time.
        until = max(self._filled_until.get(key, now_s), now_s) + 1 / self._per_s
        if until > now_s + 1:
            return False
        if key not in self._filled_until and len(self._filled_until) >= self._keys_max:
            self._forget(now_s)
        self._filled_until[key] = until
        return True

    def _forget(self, now_s: float) -> None:
        self._filled_until = {key: until for key, until in self._filled_until.items() if until > now_s}
        while len(self._filled_until) >= self._keys_max:
            self._filled_until.pop(next(iter(self._filled_until)))
