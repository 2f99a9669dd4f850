"""`python -m benchmark.hpo`: studies as the scripts have them that tune a benchmark."""

import sys

from benchmark.hpo.scripts import main

sys.exit(main())
