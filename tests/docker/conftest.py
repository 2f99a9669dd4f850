"""The images that the tests of one engine share."""

from tests.support.docker_images import image, init, work

__all__ = ["image", "init", "work"]
