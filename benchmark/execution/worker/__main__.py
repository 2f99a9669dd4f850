"""`python benchmark/execution/worker SOCKET_FD PRELOAD_JSON [MARK]`: one zygote."""

import os
import sys

_ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)
sys.path[0] = _ROOT
from benchmark.execution.worker import zygote  # noqa: E402

sys.path.remove(_ROOT)

if __name__ == "__main__":
    zygote.main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
