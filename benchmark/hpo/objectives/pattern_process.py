"""The process that patterns.py starts: a request a line of JSON, an answer a line.

It imports nothing of the program, so that it starts in the time of a bare interpreter.
"""

import contextlib
import json
import re
import resource
import sys
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the request asks for as `found`, or why the pattern is no regular expression."""
    what, text = request["what"], request["text"]
    try:
        pattern = re.compile(request["pattern"], re.MULTILINE if what == "last" else 0)
    except (re.error, OverflowError, RecursionError) as error:
        return {"fault": str(error)}
    if what == "groups":
        return {"found": pattern.groups}
    if what == "first":
        match = pattern.search(text)
        return {"found": match and match.span()}
    final = None
    for match in pattern.finditer(text):
        final = match
    if final is None or final.start(1) < 0:
        return {"found": None}
    return {"found": [final.start(), final.start(1), final.end(), final.group(1)]}


def main(memory: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit.
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
