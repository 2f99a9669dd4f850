"""Where the methods are found: folders here, installed packages, folders of the user's own.

A method is a folder benchmark/compute/NAME/ with NAME.py, an entry point of the group
"automl_benchmark.dispatchers" in an installed package, or a folder of the user's that `compute`
names by its path: {"h2o": "./methods/condor"} is condor/condor.py.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

from benchmark.compute.dispatcher import Dispatcher
from benchmark.config.plugins import DISPATCHERS, extensions
from benchmark.errors import ConfigError, MethodError
from benchmark.files.input_files import expanded


def known_methods() -> dict[str, str]:
    """Every method that has a name, with where it is: a module, or `module:class`."""
    here = Path(__file__).parent
    found = {
        folder.name: f"{__package__}.{folder.name}.{folder.name}"
        for folder in sorted(here.iterdir())
        if (folder / f"{folder.name}.py").is_file()
    }
    for extension in extensions(DISPATCHERS):
        found.setdefault(extension.name, extension.value)
    return found


def load_method(name: str) -> type[Dispatcher]:
    """The dispatcher's class by the method's name, or by the path of its folder.

    Raises:
        ConfigError: there is no such method.
        MethodError: there is one, and it cannot be imported or holds no dispatcher.
    """
    if "/" in name:
        return _from_folder(expanded(name).absolute())
    known = known_methods()
    if name not in known:
        raise ConfigError(
            f"'compute' names the method '{name}', which does not exist; the methods are "
            f"{', '.join(known)}, and a folder of your own is named by its path, ./{name}."
        )
    return _from_module(name, known[name])


def load_all() -> tuple[dict[str, type[Dispatcher]], tuple[str, ...]]:
    """Every method that has a name and can be loaded, and a sentence for each that cannot."""
    loaded: dict[str, type[Dispatcher]] = {}
    warnings: list[str] = []
    for name in known_methods():
        try:
            loaded[name] = load_method(name)
        except MethodError as error:
            warnings.append(str(error))
    return loaded, tuple(warnings)


def _from_module(name: str, value: str) -> type[Dispatcher]:
    module, _, attribute = value.partition(":")
    try:
        found = importlib.import_module(module)
        chosen = getattr(found, attribute) if attribute else None
    except (Exception, SystemExit) as error:
        raise MethodError(
            f"The method '{name}' ({value}) cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    return _dispatcher(found, chosen, f"The method '{name}' ({value})")


def _from_folder(folder: Path) -> type[Dispatcher]:
    """The class in FOLDER/NAME.py; the folder is a package, so that its modules see each other."""
    file = folder / f"{folder.name}.py"
    if not file.is_file():
        raise ConfigError(f"'compute' names the folder {folder}, and there is no {file}.")
    package = "benchmark_method_" + re.sub(r"\W", lambda c: f"_{ord(c[0]):x}_", str(folder))
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(folder)]
        sys.modules[package] = parent
    try:
        found = importlib.import_module(f"{package}.{folder.name}")
    except (Exception, SystemExit) as error:
        raise MethodError(
            f"The method {file} cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    return _dispatcher(found, None, f"The method {file}")


def _dispatcher(module: ModuleType, chosen: object, what: str) -> type[Dispatcher]:
    """The class that was named, or the one dispatcher of a module that no other builds on."""
    from benchmark.compute.dispatcher import Dispatcher

    if chosen is not None:
        if not (inspect.isclass(chosen) and issubclass(chosen, Dispatcher)):
            raise MethodError(f"{what} is no Dispatcher.")
        return chosen
    own = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Dispatcher)
        and cls.__module__ == module.__name__
    ]
    last = [cls for cls in own if not any(cls in other.__mro__[1:] for other in own)]
    if len(last) != 1:
        names = ", ".join(cls.__name__ for cls in last) or "none"
        raise MethodError(f"{what} must hold one dispatcher; it has {names}.")
    return last[0]
