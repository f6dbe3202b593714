"""How lanes share a partner's net debit cap, though none sees what the others' open batches add.

While a quarter of the cap is free, each batch may add its lane's share of that quarter, side by side with the others. What
a batch wants beyond that, and everything once less is free, it must decide alone, when no other batch adds to that issuer.

So the cap holds to the micro: whoever reads last before a batch adds sees at least the quarter free, and the open batches,
one a lane, add a quarter at most. Whoever decides alone sees all there is.
"""

_FREE_PART = 4


def share_micros(*, cap_micros: int, exposure_micros: int, lanes: int) -> int:
    """What one batch may add to the exposure that it read, unless it is alone; 0 near the cap."""
    free_micros = cap_micros // _FREE_PART
    return free_micros // lanes if cap_micros - exposure_micros >= free_micros else 0
