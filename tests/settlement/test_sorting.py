"""Sorting on a disk."""

import pytest

from settlement.sorting import DiskSorter


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_runs_are_merged_in_order(count: int) -> None:
    """Around the length of a run, and of several."""
    texts = [f"{index * 7 % 5}-\u00e9\u2028{index}" for index in range(count)]
    with DiskSorter(run_lines=3) as sorter:
        for text in texts:
            sorter.add(text)

        assert list(sorter.in_order()) == sorted(texts)
