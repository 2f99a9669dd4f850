"""The method kubernetes: Indexed Jobs, an index per task, in the frameworks' images.

A Job's name is in the store before the Job is created, so a driver that was killed finds it. The
Job is deleted when the last of its tasks has its outcome.
"""

from __future__ import annotations

import shlex

from benchmark.compute import methods
from benchmark.compute.arrays import ImageDispatcher
from benchmark.compute.cluster import Cluster, Request
from benchmark.compute.faults import patiently
from benchmark.compute.images import full_name, image_tag
from benchmark.compute.kubernetes.jobs import Kubernetes
from benchmark.config.loading import Config
from benchmark.config.method_options import KubernetesOptions
from benchmark.errors import ConfigError, as_config_errors
from benchmark.records.tasks import Resources, Task

METHOD = "kubernetes"
PATIENCE_S = 30.0


class KubernetesDispatcher(ImageDispatcher):
    """Indexed Jobs of Kubernetes."""

    @classmethod
    def options(cls, config: Config) -> KubernetesOptions:
        return config.kubernetes

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse what the cluster would refuse: it checks a Job like those of the run."""
        methods.check_installed(METHOD)
        options, url = config.kubernetes, config.store_url
        image = _image(config, min(methods.frameworks_of(config, METHOD).values(), default=None))
        if not url.startswith("s3://") and not (options.claim and url.startswith("/")):
            raise ConfigError(
                f"The results would go to {url}, which no pod sees; name a bucket in "
                "'s3_bucket_root', or an absolute path there and its volume in 'claim' of "
                "'kubernetes'."
            )
        asked = Resources(config.cores, config.memory, config.runtime, config.hard_limit)
        request = Request.of(config, options, asked, name="check", size=1, image=image)
        with as_config_errors():
            cluster = Kubernetes(options, url, config.run)
            words = shlex.join([url, config.run, "check"])
            patiently(lambda: cluster.check(request, words), PATIENCE_S)

    def cluster(self) -> Cluster:
        return Kubernetes(self.config.kubernetes, self.run.store.url, self.run.name)

    def _image(self, task: Task) -> str:
        label = task.labels.get("framework")
        return _image(self.config, label and full_name(self.run.manifest, label))


def _image(config: Config, name: str | None) -> str:
    """The image for a framework; that of a study's trials, where `name` is None.

    Raises:
        ConfigError: there is none.
    """
    image = config.kubernetes.image
    if not image:
        raise ConfigError(
            "'image' in 'kubernetes' is unset, so there is nothing for a pod to run; set it to "
            "the repository that `main.py init-compute --push REPOSITORY` has filled."
        )
    if {":", "@"} & set(image.rpartition("/")[2]):
        return image
    if name is None:
        raise ConfigError(
            f"'image' in 'kubernetes' is {image}, a repository with images of frameworks and none "
            "for trials; name an image with its tag."
        )
    return f"{image}:{image_tag(config, name)}"
