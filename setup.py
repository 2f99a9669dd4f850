"""The wheel: all of pyproject.toml, and the files that images are built from.

They lie outside the package, where a checkout's users and `make env` look for them.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = (
    *("docker/Dockerfile", "docker/install.py", "docker/entrypoint.py"),
    "docker/task-requirements.txt",
    *("pre-requirements.txt", "requirements.txt", "batch.config.default"),
)


class BuildWithImageFiles(build_py):
    """Copies the files into the package, as benchmark/checkout/NAME."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # The checkout itself has them.
        for name in FILES:
            target = Path(self.build_lib, "benchmark/checkout", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(name, str(target))


setup(cmdclass={"build_py": BuildWithImageFiles})
