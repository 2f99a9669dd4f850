"""A flow's end with the driver that started it, however that ends."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time

# The driver's process id, for the flow and not for its steps.
DRIVER_VARIABLE = "AUTOML_BENCHMARK_DRIVER"
# The folder of the flow's temporary files, which goes with the driver: a killed flow leaves some.
FOLDER_VARIABLE = "AUTOML_BENCHMARK_FLOW_FOLDER"
_TICK_S = 0.2


def follow() -> None:
    """Interrupt this process, as Ctrl-C does, once the driver is not its parent any more."""
    tempfile.tempdir = os.environ.pop(FOLDER_VARIABLE, None)
    driver = os.environ.pop(DRIVER_VARIABLE, "")
    if driver:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        watch = threading.Thread(target=_watch, args=(int(driver),), name="driver", daemon=True)
        watch.start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(_TICK_S)
    os.kill(os.getpid(), signal.SIGINT)
