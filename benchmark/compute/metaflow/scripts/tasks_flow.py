"""The flow: a foreach over chunks of a list of tasks, and a card of how it went.

    python tasks_flow.py run --store_url ./runs --run_name default --job NAME
    python tasks_flow.py --with kubernetes argo-workflows create

`{run}/jobs/NAME.json` in the store is the list. Where the steps run, the program must be installed
or be on PYTHONPATH, and the store must be reached. A step that is run twice runs no task twice.
"""

import os

from metaflow import FlowSpec, Parameter, card, current, step


class AutomlBenchmarkTasks(FlowSpec):
    store_url = Parameter("store_url", help="s3://bucket/folder/, or a shared folder", default="")
    run_name = Parameter("run_name", help="the run, or studies/NAME", default="default")
    job = Parameter("job", help="the list of tasks", default="all")
    chunk = Parameter("chunk", help="tasks a step", default=20)

    @step
    def start(self):
        from benchmark.compute.metaflow.chunks import chunks

        # Never empty, for a foreach over nothing is an error.
        self.chunks = chunks(self.store_url, self.run_name, self.job, self.chunk) or [[]]
        self.next(self.work, foreach="chunks")

    @step
    def work(self):
        from benchmark.compute.metaflow.chunks import run_chunk

        self.words = run_chunk(self.store_url, self.run_name, self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.words = [word for one in inputs for word in one.words]
        self.next(self.end)

    @card(type="blank")
    @step
    def end(self):
        from metaflow.cards import Markdown, Table

        from benchmark.compute.metaflow.chunks import summary

        title, headers, rows = summary(self.store_url, self.run_name)
        current.card.append(Markdown(f"# {title}"))
        current.card.append(Table(rows, headers=headers))


if __name__ == "__main__":
    if "AUTOML_BENCHMARK_DRIVER" in os.environ:
        from benchmark.compute.metaflow.lifeline import follow

        follow()
    AutomlBenchmarkTasks()
