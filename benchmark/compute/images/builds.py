"""Builds and pushes images; what is up to date is left alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.compute.images.context import DEFAULT_BASE, HERE, Image, content_hash
from benchmark.compute.images.engine import Engine
from benchmark.errors import BenchmarkError, SetupError

REPOSITORY = "automl-benchmark"
LABEL = "automl-benchmark"
# An index, a proxy and the like, as pip and uv know them; they reach the build as a secret.
_INSTALLER = re.compile(
    r"(PIP|UV)_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|TRUSTED_HOST|DEFAULT_TIMEOUT)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_\w+_(USERNAME|PASSWORD)|INDEX_STRATEGY|INSECURE_HOST"
    r"|HTTP_TIMEOUT|SYSTEM_CERTS|NATIVE_TLS|PYTHON_INSTALL_MIRROR)"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY",
    flags=re.IGNORECASE,
)
_CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_SECRET = "AUTOML_BENCHMARK_INSTALLER"  # noqa: S105  # nosec B105 # a name
_LAST_LINES = 200


@dataclass(frozen=True)
class BuiltImage:
    """An image that is there: its full name, the engine's id, MB, and whether it was made now."""

    name: str
    id: str
    size_mb: float
    built: bool


def ensure_image(
    engine: Engine,
    image: Image,
    base: str = DEFAULT_BASE,
    network: str | None = None,
    report: Callable[[str], None] | None = None,
) -> BuiltImage:
    """The image, built unless one of the same parts is there.

    Layers that were finished are not built again, also when a build was killed. `report` gets
    each step that took time. What an image replaces goes, unless a container uses it.

    Raises:
        SetupError: it cannot be built; the sentence is that of the step that failed.
    """
    name = f"{REPOSITORY}:{image.tag}"
    arguments = {"BASE": base, "PYTHON": HERE, "PACKAGES": " ".join(image.packages)}
    context = image.context()
    content = content_hash(context, arguments)
    present = _present(engine, name)
    if present is not None and present.labels.get(f"{LABEL}.content") == content:
        return BuiltImage(name, present.id, _size_mb(present), built=False)
    if report:
        report(f"Building {name} for {', '.join(image.frameworks)}.")
    labels = {"content": content, "environment": image.environment}
    command = [str(engine.program), "build", "--progress", "plain", "--tag", name]
    command += [f"--network={network}"] if network else []
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    for key, value in labels.items():
        command += ["--label", f"{LABEL}.{key}={value}"]
    secrets, variables = secret_options(os.environ)
    command += [*secrets, "--file", "docker/Dockerfile", "-"]
    _build(command, os.environ | engine.variables | variables, context, name, report)
    made = _present(engine, name)
    if made is None:
        raise SetupError(f"Docker built {name} and does not have it; is {engine.url} the builder?")
    if present is not None and present.id != made.id:
        _remove(engine, present.id)
    return BuiltImage(name, made.id, _size_mb(made), built=True)


def push(
    engine: Engine, image: Image, registry: str, login: Mapping[str, str] | None = None
) -> str:
    """Push the image to a repository of a registry; returns its name by digest.

    The credentials are those of `docker login` unless `login` has `username` and `password`. What
    the registry has is not sent again.

    Raises:
        BenchmarkError: the repository's name is impossible, or the registry refuses.
    """
    from docker.errors import DockerException

    repository = repository_name(registry)
    made = _present(engine, f"{REPOSITORY}:{image.tag}")
    if made is None:
        raise BenchmarkError(f"There is no image {REPOSITORY}:{image.tag} to push.")
    digest = None
    try:
        made.tag(repository, image.tag)
        options = {"auth_config": dict(login)} if login else {}
        for line in engine.client.images.push(
            repository, image.tag, stream=True, decode=True, **options
        ):
            if "error" in line:
                raise BenchmarkError(_refused(f"{repository}:{image.tag}", str(line["error"])))
            digest = line.get("aux", {}).get("Digest") or digest
    except (DockerException, OSError) as error:
        raise BenchmarkError(f"{repository}:{image.tag} cannot be pushed: {error}.") from None
    return f"{repository}@{digest}" if digest else f"{repository}:{image.tag}"


def _refused(name: str, said: str) -> str:
    """Docker's own words; where the registry does not let these credentials in, how to fix it."""
    words = f"{name} cannot be pushed: {said.strip('. ')}"
    if not re.search(
        r"denied|unauthorized|no basic auth|authorization|forbidden|403", said.lower()
    ):
        return f"{words}."
    host = name.partition("/")[0]
    return f"{words}; log in with `docker login {host}`, or allow these credentials to push there."


def repository_name(registry: str) -> str:
    """The repository that --push names: a registry alone gets the program's own name.

    Raises:
        BenchmarkError: it is no name that a registry takes.
    """
    name = registry.rstrip("/")
    name = name if "/" in name else f"{name}/{REPOSITORY}"
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", name):
        raise BenchmarkError(
            f"'{registry}' is no repository; write HOST[:PORT]/NAME, in small letters, with no tag."
        )
    return name


def _present(engine: Engine, name: str) -> Any:
    from docker.errors import DockerException, ImageNotFound

    try:
        return engine.client.images.get(name)
    except ImageNotFound:
        return None
    except (DockerException, OSError) as error:
        raise BenchmarkError(f"Docker at {engine.url} cannot look for {name}: {error}.") from None


def _remove(engine: Engine, image_id: str) -> None:
    from docker.errors import DockerException

    try:
        engine.client.images.remove(image_id)
    except DockerException:
        return  # A container or another name still uses it, which is no fault.


def _size_mb(image: Any) -> float:
    return round(int(image.attrs["Size"]) / 1e6, 1)


def secret_options(variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The options of `docker build` that mount the secrets, and the variable that carries one."""
    installer = {
        key: value
        for key, value in variables.items()
        # The build cannot see a folder of this machine.
        if _INSTALLER.fullmatch(key) and not value.startswith(("/", ".", "~", "file:"))
    }
    options = ["--secret", f"id=installer,env={_SECRET}"]
    files = (variables.get(key) for key in _CA_VARIABLES)
    ca = next((file for file in files if file and Path(file).is_file()), None)
    if ca:
        options += ["--secret", f"id=ca,src={Path(ca).absolute()}"]
    return options, {_SECRET: json.dumps(installer)}


def _build(
    command: list[str],
    variables: dict[str, str],
    context: bytes,
    name: str,
    report: Callable[[str], None] | None,
) -> None:
    last: deque[str] = deque(maxlen=_LAST_LINES)
    steps: dict[str, str] = {}
    with tempfile.TemporaryFile() as archive:
        archive.write(context)
        archive.seek(0)
        with subprocess.Popen(
            command,
            env=variables,
            stdin=archive,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            try:
                for line in process.stdout or ():
                    last.append(line.rstrip())
                    step = _step_of(line, steps)
                    if step and report:
                        report(f"{name}: {step}")
            except BaseException:
                process.terminate()
                raise
    if process.returncode:
        raise SetupError(f"{name} cannot be built: {_fault(last)}")


def _step_of(line: str, steps: dict[str, str]) -> str | None:
    """'environment 31.2s' when a step that installs something is done; `steps` is kept between."""
    started = re.match(r"#(\d+) \[.*install\.py (\w+)", line)
    if started:
        steps[started[1]] = started[2]
    done = re.match(r"#(\d+) DONE (\S+)s$", line.rstrip())
    if done and done[1] in steps and float(done[2]) >= 1:
        return f"{steps.pop(done[1])} {done[2]} s"
    return None


def _fault(lines: deque[str]) -> str:
    """The sentence of install.py, or what Docker says itself."""
    ours = [found[1] for line in lines if (found := re.match(r"#\d+ [\d.]+ error: (.+)", line))]
    if ours:
        return ours[-1][:800].rstrip(".") + "."
    theirs = [line for line in lines if re.search(r"failed to solve|failed running|^ERROR", line)]
    steps = [found[1] for line in lines if (found := re.match(r"#\d+ [\d.]+ (.*\S)", line))]
    parts = [*(theirs or lines)][-1:] + steps[-1:]
    return ": ".join(part.strip() for part in parts)[-800:] or "Docker said nothing."
