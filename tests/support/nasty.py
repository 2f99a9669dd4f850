"""A tree that does not want to die: a plain child, a setsid child, a double-forked daemon, and
main, all deaf to SIGTERM. Each writes its pid (as its namespace sees it) and a mark."""

import os
import signal
import sys


def stay(mark: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.execv(
        sys.executable, [sys.executable, "-c", f"import time; '{mark}'\nwhile True: time.sleep(1)"]
    )


def main() -> None:
    mark = sys.argv[1]
    if os.fork() == 0:
        stay(mark)
    if os.fork() == 0:
        os.setsid()
        stay(mark)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            stay(mark)
        os._exit(0)
    os.wait()
    print("up", flush=True)
    stay(mark)


if __name__ == "__main__":
    main()
