"""The smallest dispatcher: every task here, one after the other."""

from benchmark.compute.dispatcher import AutoMLMethods, Dispatcher


@AutoMLMethods("nearest")
class OneByOne(Dispatcher):
    """Runs each task in the sandbox and waits for its record."""

    @classmethod
    def process(cls, tests):
        for task in tests:
            tests.execute(task)
