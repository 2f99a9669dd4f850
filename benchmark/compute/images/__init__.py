"""Images: one for each environment of frameworks, with the harness, for whatever runs containers.

from benchmark.compute import images

engine = images.connect()
wanted, faults = images.images_of(frameworks, found)
for image in wanted:
    print(images.ensure_image(engine, image).name)
"""

from benchmark.compute.images.builds import (
    REPOSITORY,
    BuiltImage,
    ensure_image,
    push,
    repository_name,
)
from benchmark.compute.images.context import (
    DEFAULT_BASE,
    Image,
    full_name,
    image_tag,
    images_of,
    publish_code,
)
from benchmark.compute.images.engine import Engine, connect

__all__ = [
    "DEFAULT_BASE",
    "REPOSITORY",
    "RESERVE_MB",
    "BuiltImage",
    "Engine",
    "Image",
    "connect",
    "ensure_image",
    "full_name",
    "image_tag",
    "images_of",
    "publish_code",
    "push",
    "repository_name",
]

# What a container needs beside the task's `memory`: the runner and the preloaded interpreter.
RESERVE_MB = 1024
