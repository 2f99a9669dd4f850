"""The flow of a study that runs without a driver: workers side by side, and a card of the best.

    python study_flow.py run --store_url s3://bucket/bench/ --study NAME --workers 4
    python study_flow.py argo-workflows create

Workers share the study's storage, which each machine must reach, and no one leads them. Where they
run, the program must be installed or be on PYTHONPATH. A step that is run again goes on.
"""

from metaflow import FlowSpec, Parameter, card, current, step


class AutomlBenchmarkStudy(FlowSpec):
    store_url = Parameter("store_url", help="s3://bucket/folder/, or a shared folder", default="")
    study = Parameter("study", help="the study's name", default="")
    workers = Parameter("workers", help="workers side by side", default=1)

    @step
    def start(self):
        self.places = list(range(max(1, self.workers)))
        self.next(self.work, foreach="places")

    @step
    def work(self):
        from benchmark.compute.metaflow.chunks import run_workers

        self.trials = run_workers(self.store_url, self.study)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.trials = sum(one.trials for one in inputs)
        self.next(self.end)

    @card(type="blank")
    @step
    def end(self):
        from metaflow.cards import Markdown, Table

        from benchmark.compute.metaflow.chunks import summary

        title, headers, rows = summary(self.store_url, f"studies/{self.study}")
        current.card.append(Markdown(f"# {title}"))
        current.card.append(Table(rows, headers=headers))


if __name__ == "__main__":
    AutomlBenchmarkStudy()
