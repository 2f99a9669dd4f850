"""The environment that a task gets: the program's own, without the secrets in it.

    task = in_c_locale(without_secrets(os.environ))
    task |= wanted(os.environ, ("WANDB_API_KEY",))

A variable holds a secret when its name says so (`…_TOKEN`, `…PASSWORD…`, `AWS_SECRET_ACCESS_KEY`),
or when its value is a URL with a password in it. What must reach a store or a service is the
runner's, which is no task and keeps them. Programs in a task write messages, numbers and dates in
the C locale, so that a result does not depend on the shell that the run was started in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# TOKENIZERS_PARALLELISM, OLDPWD and SSH_AUTH_SOCK are none.
_NAME = re.compile(
    r"SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|TOKENS?(_|$)|KEYS?(_ID|_BASE64|_DATA)?$"
    r"|_PWD$|_PASS$|_AUTH$|AUTH_CONFIG|_JWT$|PRIVATE_KEY|CONNECTION_STRING",
    re.IGNORECASE,
)
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s:@]*:[^/?#\s]+@", re.IGNORECASE)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable is kept from tasks that do not ask for it."""
    return bool(_NAME.search(name) or _URL_WITH_PASSWORD.search(value))


def without_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables but those that hold a secret."""
    return {name: value for name, value in variables.items() if not is_secret(name, value)}


def wanted(variables: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The secrets that a framework or a study asks for by name, as far as they are set."""
    return {name: variables[name] for name in names if name in variables}


def in_c_locale(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without the user's locale, except for its order of texts and its UTF-8."""

    def of(category: str) -> str:
        names = ("LC_ALL", category, "LANG")
        return next(filter(None, (variables.get(name) for name in names)), "")

    found = {
        name: value
        for name, value in variables.items()
        if not name.startswith("LC_") and name not in ("LANG", "LANGUAGE")
    }
    order, encoding = of("LC_COLLATE"), of("LC_CTYPE")
    # Java takes its decimal separator from LC_CTYPE.
    is_utf8 = encoding.lower().replace("-", "").endswith("utf8")
    kept = {"LC_COLLATE": order, "LC_CTYPE": "C.UTF-8" if is_utf8 else encoding}
    return found | {name: value for name, value in kept.items() if value}
