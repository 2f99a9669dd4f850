"""An Apptainer image for clusters without Docker: a definition, and all that its build is given.

    write(images, Path("image"))          # image/automl-benchmark.def, image/build/
    cd image && apptainer build automl-benchmark.sif automl-benchmark.def

Its steps are those of the Dockerfile (docker/install.py), in one image for all frameworks.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from benchmark.compute.images.context import DEFAULT_BASE, HERE, Image
from benchmark.errors import BenchmarkError
from benchmark.files.removal import clear

NAME = "automl-benchmark"
_DEFINITION = """\
# Made by `main.py setup --apptainer`. In this folder: apptainer build {name}.sif {name}.def
Bootstrap: docker
From: {base}

%files
    build /build

%environment
    export AUTOML_BENCHMARK_CACHE=/opt/automl-benchmark/cache
    export PATH=/opt/automl-benchmark/harness/bin:$PATH
    export LANG=C.UTF-8

%post
    set -e
    export PYTHON={python}
    export AUTOML_BENCHMARK_CACHE=/opt/automl-benchmark/cache
    export UV_PYTHON_INSTALL_DIR=/opt/automl-benchmark/python
    install="/build/docker/install.py"
    python3 $install tools
    python3 $install system {packages}
    python3 $install harness
    for one in {environments}; do
        rm -rf /build/environment
        cp -r /build/environments/$one /build/environment
        /opt/automl-benchmark/harness/bin/python $install environment
    done
    python3 $install own
    cp -r /build/code /opt/automl-benchmark/code
    python3 -m compileall -q /opt/automl-benchmark/code
    chmod -R a+rX /opt/automl-benchmark
    rm -rf /build /opt/uv

%runscript
    exec python /opt/automl-benchmark/code/entrypoint.py "$@"
"""


def write(images: Sequence[Image], folder: Path, base: str = DEFAULT_BASE) -> Path:
    """Write the definition of one image with the environments of all; returns the file.

    Raises:
        BenchmarkError: the program is no checkout, or the folder cannot be written.
    """
    build = folder / "build"
    packages = {"libgomp1", *(package for image in images for package in image.packages)}
    names = []
    try:
        clear(build)
        for image in images:
            with tarfile.open(fileobj=io.BytesIO(image.context())) as archive:
                archive.extractall(build, filter="data")
            name = f"{image.environment}-{image.tag}"
            (build / "environments").mkdir(exist_ok=True)
            (build / "environment").rename(build / "environments" / name)
            names.append(name)
        definition = folder / f"{NAME}.def"
        text = _DEFINITION.format(
            name=NAME,
            base=base,
            python=HERE,
            packages=" ".join(sorted(packages)),
            environments=" ".join(names),
        )
        definition.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(
            f"The folder {folder} for the Apptainer image cannot be written: {error.strerror}."
        ) from None
    return definition
