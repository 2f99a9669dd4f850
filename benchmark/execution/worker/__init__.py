"""What runs in a framework's own interpreter: standard library and Arrow only, Python 3.6 syntax.

A zygote imports the heavy libraries once. Per task it forks a keeper, which forks the task (in a
PID namespace where there is one), holds the deadline and the memory limit, and leaves nothing
running.
"""
