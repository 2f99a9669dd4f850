"""Cores that several containers of a host share."""

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
