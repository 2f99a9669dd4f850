"""The steps of the Dockerfile that install something; runs inside the build.

install.py tools | system [PACKAGE ...] | harness | environment | own | service EXTRA ... | program

Two build secrets, both optional: `ca`, a file of certificates, and `installer`, a JSON object of
variables for pip and uv (an index, a proxy). They are mounted, so no layer holds them.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

BUILD = Path("/build")
SECRETS = Path("/run/secrets")
HOME = Path("/opt/automl-benchmark")
UV = "/opt/uv/bin/uv"


def tools() -> None:
    """uv, in a folder of its own that later steps mount."""
    _run([sys.executable, "-m", "venv", "/opt/uv"])
    requirements = str(BUILD / "pre-requirements.txt")
    _run(["/opt/uv/bin/python", "-m", "pip", "install", "--quiet", "-r", requirements])


def system(packages: list[str]) -> None:
    """Debian packages; those that are there already need no network."""
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return
    quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    _run([*quiet, "update"])
    _run([*quiet, "install", "--yes", "--no-install-recommends", *missing])
    for folder in ("/var/lib/apt/lists", "/var/cache/apt"):
        shutil.rmtree(folder, ignore_errors=True)


def harness() -> None:
    """The interpreter that runs the harness, with what tasks need, without tests of packages."""
    here = "{}.{}".format(*sys.version_info[:2])
    wanted = os.environ.get("PYTHON") or here
    if here != wanted:
        _fail(
            f"The base image has Python {here} and the harness that builds it {wanted}; name a "
            f"base with Python {wanted} (--base IMAGE)."
        )
    folder = HOME / "harness"
    _run([UV, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)])
    install = [UV, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    versions = ["--constraint", str(BUILD / "requirements.txt")]
    _run([*install, *versions, "-r", str(BUILD / "docker/task-requirements.txt")])
    site = next(folder.glob("lib/python*/site-packages"))
    for tests in [path for path in site.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)  # One may have been in another.
    _compile(folder)
    (site / "automl-benchmark.pth").write_text(f"{HOME / 'code'}\n")


def environment() -> None:
    """The environment that environment/framework.json describes, built as everywhere else."""
    sys.path.insert(0, str(BUILD / "environment"))
    from benchmark.errors import SetupError
    from benchmark.frameworks import environments

    facts = json.loads((BUILD / "environment/framework.json").read_text())
    _python(facts["python"], facts["minor"])
    lock = BUILD / "environment/requirements.lock"
    if facts["kept_lock"]:
        kept = HOME / "cache/locks" / facts["kept_lock"]
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(lock, kept)
    # All that the building of an environment asks of a framework.
    framework = SimpleNamespace(**(facts | {"lock": lock, "folder": lock.parent}))
    try:
        built = environments.ensure(framework)
        share(built.folder, HOME / "harness")
        environments.verify(framework, built)
    except SetupError as error:
        _fail(str(error))
    if built.hash != facts["hash"]:
        _fail(
            f"The environment of {framework.name} has the hash {built.hash} in the image and "
            f"{facts['hash']} on this machine: their kinds of machine differ."
        )


def share(environment: Path, harness: Path) -> None:
    """Link the environment's packages to those of the harness that have the same files."""
    for site in environment.glob("lib/python*/site-packages"):
        theirs = harness / site.relative_to(environment)
        for package in [path for path in site.iterdir() if path.suffix != ".dist-info"]:
            other = theirs / package.name
            if package.is_dir() and other.is_dir() and _are_same(package, other):
                shutil.rmtree(package)
                package.symlink_to(other)


def _are_same(one: Path, other: Path) -> bool:
    names = _files(one)
    same = names == _files(other)
    return same and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def _files(folder: Path) -> set[Path]:
    """What counts of a package: no bytecode, and no tests, which the harness's have not."""
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not {"tests", "__pycache__"} & set(name.parts)}


def _python(specifier: str, minor: str) -> None:
    """The framework's interpreter: one that the base has, else uv's build of it."""
    from benchmark.errors import SetupError
    from benchmark.frameworks.interpreters import interpreter_for

    os.environ["PATH"] += f":{Path(UV).parent}"
    try:
        interpreter_for(specifier)
    except SetupError:
        mend = (
            f"Python {minor}, which the base does not have, cannot be had; let the build reach "
            f"uv's builds (UV_PYTHON_INSTALL_MIRROR), or name a base that has python{minor} too"
        )
        _run([UV, "python", "install", minor], mend)


def own(top: Path = Path("/")) -> None:
    """The folders of own frameworks, at their places, readable by everybody."""
    root = BUILD / "own"
    for source in sorted(root.rglob("*")):
        target = top / source.relative_to(root)
        if source.is_dir():
            target.mkdir(mode=0o755, exist_ok=True)
            # Such a folder may be one of the base's that others cannot enter, like /root.
            target.chmod(target.stat().st_mode | 0o005)
        else:
            shutil.copy(source, target)


def service(extras: list[str]) -> None:
    """What the HPO service imports, with extras of the program's, in the versions tested."""
    folder = HOME / "service"
    _run([UV, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)])
    install = [UV, "pip", "install", "--quiet"]
    wanted = [word for extra in extras for word in ("--extra", extra)]
    constraint = ["--constraint", str(BUILD / "requirements.txt")]
    python = str(folder / "bin/python")
    _run([*install, "--python", python, *constraint, *wanted, "-r", str(BUILD / "pyproject.toml")])
    _compile(folder)


def program() -> None:
    """The program itself, as a package with its command, beside what `service` installed."""
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--no-deps"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(BUILD, source)
        _run([*install, "--python", str(HOME / "service/bin/python"), str(source)])


def _compile(folder: Path) -> None:
    """Write the bytecode of the packages but for their own tests, half of what could be."""
    (place,) = folder.glob("lib/python*/site-packages")
    compile_all = [folder / "bin/python", "-I", "-m", "compileall", "-qq", "-j", "0"]
    # Packages have files for other versions of Python, which it reports by its exit code.
    subprocess.run([*compile_all, "-x", "/tests/", "."], cwd=place, check=False)


def _is_installed(package: str) -> bool:
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def _use_secrets() -> None:
    """Hand the secrets to pip, uv and apt by their variables, for this process alone."""
    ca, installer = SECRETS / "ca", SECRETS / "installer"
    if installer.is_file():
        os.environ.update(json.loads(installer.read_text()))
    if ca.is_file():
        os.environ.update({"PIP_CERT": str(ca), "SSL_CERT_FILE": str(ca)})
    os.environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_LINK_MODE": "copy", "NO_COLOR": "1"}


def _run(command: list[str], failed: str | None = None) -> None:
    """Run a command; where it fails, end with what it said, after `failed`."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    sys.stderr.write(done.stdout)
    if done.returncode:
        said = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
        what = failed or f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed"
        _fail(f"{what}: {' / '.join(said[-4:])[-400:]}")


def _fail(sentence: str) -> NoReturn:
    """End the build with a sentence that the caller finds in its output; without passwords."""
    sys.exit("error: " + re.sub(r"://[^/@\s]+@", "://", sentence))


def main() -> None:
    _use_secrets()
    step, arguments = sys.argv[1], sys.argv[2:]
    steps = {"tools": tools, "harness": harness, "environment": environment, "own": own}
    steps |= {"program": program}
    taking = {"system": system, "service": service}
    if step in taking:
        taking[step](arguments)
    else:
        steps[step]()


if __name__ == "__main__":
    main()
