"""AWS Batch: array jobs in a queue of the user's, watched until each task has its outcome."""
