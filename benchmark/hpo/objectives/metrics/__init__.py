"""Sources of metrics: reports of tools, JSON, CSV, patterns, as the key `metrics` declares them."""
