"""Find a Java that H2O runs on: a variable's, PATH's, or one of the system's folders."""

import os
import re
import shutil
import subprocess
from pathlib import Path

# H2O 3.46 names 8 to 17; others start only with a switch that it warns of.
OLDEST, NEWEST = 8, 17
OWN = "H2O_JAVA_HOME"
PLACES = ("/usr/lib/jvm/*/bin/java", "/opt/java/*/bin/java", "/opt/*/bin/java")


MEND = "install one, for example with `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME"


def choose():
    """Put a Java that starts and has a version H2O knows first on PATH.

    There H2O looks before it looks at JAVA_HOME; a variable of its own comes before both.
    """
    path, said = find()
    if path is None:
        raise RuntimeError(f"H2O needs {said}; {MEND}")
    os.environ.pop(OWN, None)
    folders = [str(Path(path).parent), *os.get_exec_path()]
    os.environ["PATH"] = os.pathsep.join(folders)


def find():
    """The path of such a Java and its version; or None and what is needed and was found."""
    seen = []
    for path in _candidates():
        version = _version(path)
        if version is None:
            continue
        if OLDEST <= version <= NEWEST:
            return path, f"Java {version}"
        seen.append(f"{path} is {version}")
    found = "; ".join(seen) if seen else "there is none in JAVA_HOME, on PATH or in /usr/lib/jvm"
    return None, f"Java {OLDEST} to {NEWEST} ({found})"


def _candidates():
    for variable in (OWN, "JAVA_HOME"):
        home = os.environ.get(variable)
        if home:
            yield str(Path(home, "bin", "java").absolute())
    found = shutil.which("java")
    if found:
        yield str(Path(found).absolute())
    for place in PLACES:
        yield from sorted(str(path) for path in Path("/").glob(place.lstrip("/")))


def _version(path):
    """The major version; None if it does not start."""
    try:
        done = subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(version.group(1)) if version else None
