"""An allocation in which workers pull tasks, so that none waits in the cluster's queue."""
