"""`python -m benchmark.hpo`: studies as the scripts have them that tune a benchmark."""

import sys

from benchmark.hpo.formats.em_hpo_scripts import main

sys.exit(main())
