"""Slurm's array jobs."""
