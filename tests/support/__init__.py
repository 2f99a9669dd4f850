"""Real services, doubles of AWS and Slurm, and other code that several tests share."""
