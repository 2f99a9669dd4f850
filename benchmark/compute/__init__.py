"""Where tasks run: one interface, a folder per method.

from benchmark import compute
compute.run_full()
"""
