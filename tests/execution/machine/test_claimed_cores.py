"""Cores that several containers of a host share."""

import os
import resource

from benchmark.execution.machine.cores import claimed

# High numbers: the names are the machine's, and other tests may run tasks beside this one.
CORES = range(1000, 1004)


def test_no_two_claim_the_same_core_while_there_are_others() -> None:
    with claimed(2, CORES) as first, claimed(2, CORES) as second:
        assert sorted([*first, *second]) == list(CORES)
        with claimed(2, CORES) as third:  # There are no more: some are shared.
            assert len(third) == 2
    with claimed(4, CORES) as again:
        assert again == list(CORES)


def test_who_is_bound_to_its_cores_leaves_the_claims_to_what_it_starts():
    with claimed(2, CORES[:2]) as outer:
        assert outer == list(CORES[:2])
        with claimed(1, CORES[:2]) as first, claimed(1, CORES[:2]) as second:
            assert sorted(first + second) == outer


def test_without_descriptors_cores_are_shared():
    used, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
    try:
        with claimed(2, CORES) as cores:
            assert len(cores) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, most))
